package ingest

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestRecallSmallBeside: a request comes while another one's sparse room is read slice after slice.
// It is judged and served between two of these slices.
func TestRecallSmallBeside(t *testing.T) {
	t.Parallel()
	cfg := Config{RecallMemory: 1 << 20, Start: "beginning"}
	r := newRig(t, padded(t, 6000).ListenAddrs(), cfg, both()).start().ready()
	var done atomic.Bool
	large := r.askRecall(r.recallOf("m1", "own:nobody", []int64{-1}, []int64{5999}))
	go func() {
		large()
		done.Store(true)
	}()
	eventually(t, "the third read", func() bool { return r.c.RecallStats().Reads >= 3 })
	got, err := r.recallAs("a1", "own:k7", []int64{5899}, []int64{5999})()
	if err != nil || len(got) != 2 {
		t.Fatalf("%d, %v", len(got), err)
	}
	if done.Load() {
		t.Errorf("it was served after the other: %+v", r.c.RecallStats())
	}
}

// TestRecallChain: the first message of a further part has a prev if its member knows it.
func TestRecallChain(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 200).ListenAddrs(), Config{Start: "beginning"}, both()).start().ready()
	first := func(after int64, last ...rooms.Pos) string {
		t.Helper()
		q := r.recallOf("m1", "own:k7", []int64{after}, []int64{199})
		q.Last = last
		past, err := r.askRecall(q)()
		if err != nil {
			t.Fatal(err)
		}
		defer past.Release()
		return framesOf(past, q.After, q.UpTo)[0]
	}
	if f := first(80, rooms.Pos{Partition: 0, Offset: 57}); !strings.Contains(f, `"pos":"0:107","prev":"0:57"`) {
		t.Errorf("known: %.100s", f)
	}
	if f := first(80); strings.Contains(f, `"prev"`) || !strings.Contains(f, `"pos":"0:107"`) {
		t.Errorf("not known: %.100s", f)
	}
	if f := first(80, rooms.Pos{Partition: 1, Offset: 57}); strings.Contains(f, `"prev"`) {
		t.Errorf("of another partition: %.100s", f)
	}
}

// TestRecallOwnStalled: a user's members hold as much as one user may, and are sent nothing. When
// the user wants more they are asked to give it back. A member that does not is asked again.
func TestRecallOwnStalled(t *testing.T) {
	t.Parallel()
	cfg := Config{RecallMemory: 2 << 20, Start: "beginning"}
	r := newRig(t, padded(t, 3000).ListenAddrs(), cfg, both()).start().ready()
	var asked atomic.Int64
	var held []*rooms.Past
	for i := range 12 {
		q := r.recallOf("m1", "all", []int64{int64(i * 200)}, []int64{2999})
		q.TakeBack = func(p *rooms.Past) {
			if asked.Add(1) > 2 { // the first two requests are ignored
				p.Release()
			}
		}
		past, err := r.askRecall(q)()
		if err != nil {
			t.Fatalf("the %dth of one user: %v", i, err)
		}
		held = append(held, past)
	}
	if s := r.c.RecallStats(); s.Handed > 1<<20 || asked.Load() < 3 || s.Waiting != 0 {
		t.Errorf("asked %d times: %+v", asked.Load(), s)
	}
	for _, past := range held {
		past.Release()
	}
	if s := r.c.RecallStats(); s.Handed != 0 {
		t.Errorf("%d bytes still count, and nobody holds them", s.Handed)
	}
}

// TestRecallTidyHanded: frames that nobody holds any more are not kept for later requests.
func TestRecallTidyHanded(t *testing.T) {
	a := newRecaller(&Consumer{})
	u := &recallUser{}
	held, gone := &shared{holders: map[*recallUser]int{u: 1}}, &shared{}
	k := a.topic(&topic{})
	k.handed = map[string]*shared{"held": held, "gone": gone}
	a.tidy(time.Now())
	if len(k.handed) != 1 || k.handed["held"] != held {
		t.Errorf("kept %v", k.handed)
	}
}
