package ingest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// padded writes records of two kilobytes to partition 0 of topic a.
func padded(t *testing.T, n int) *kfake.Cluster {
	t.Helper()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	for i := range n {
		w.put("a", 0, fmt.Sprint("k", i%50), fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", 2000)))
	}
	w.flush()
	return k
}

// both routes all records of topic a to the room all, and to a private room for each key.
func both() route.Route {
	return route.Route{Topic: "a", Rooms: []string{"all", "own:{@key}"}, Type: "y"}
}

// TestRecallWindows: a past that is larger than RecallMemory is read and handed out in parts, each
// message once. A small request is served beside it.
func TestRecallWindows(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 3000).ListenAddrs(), Config{RecallMemory: 1 << 20, Start: "beginning"},
		both()).start().ready()
	large := r.recallAs("m1", "all", []int64{-1}, []int64{2999})
	small, err := r.recallAs("a1", "own:k7", []int64{2899}, []int64{2999})()
	if err != nil || len(small) != 2 {
		t.Fatalf("the small one: %d, %v", len(small), err)
	}
	got, err := large()
	if err != nil || len(got) != 3000 {
		t.Fatalf("the large one: %d, %v; missing %v, %+v", len(got), err, missing(got, 3000), r.c.RecallStats())
	}
	for i, f := range got {
		if !strings.Contains(f, fmt.Sprintf(`"data":{"n":%d,`, i)) {
			t.Fatalf("message %d is %.100s", i, f)
		}
	}
	own, err := r.recallAs("m1", "own:k7", []int64{-1}, []int64{2999})()
	if err != nil || len(own) != 60 {
		t.Fatalf("a private one over all of it: %d, %v", len(own), err)
	}
	s := r.c.RecallStats()
	if s.Kept > 1<<20 || s.Windows < 10 || s.Handed != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// TestRecallBudget: each user has a budget of bytes a minute. A request for more than a whole
// budget is too old, and the error has the oldest positions within it. A request for more than is
// left is refused for now. Neither affects another user's request.
func TestRecallBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 1000).ListenAddrs(), Config{RecallBytes: 1 << 20, Start: "beginning"},
		both()).start().ready()
	ask := func(user string, from int64) error {
		t.Helper()
		got, err := r.recallAs(user, "all", []int64{from}, []int64{999})()
		if err == nil && len(got) != int(999-from) {
			t.Errorf("%s from %d: %d", user, from, len(got))
		}
		return err
	}
	much, little := r.recallAs("m1", "all", []int64{-1}, []int64{999}),
		r.recallAs("a1", "own:k7", []int64{899}, []int64{999})
	if got, err := little(); err != nil || len(got) != 2 {
		t.Errorf("asked beside too much: %d, %v", len(got), err)
	}
	_, err := much()
	var old *rooms.TooOldError
	if !errors.As(err, &old) || len(old.Oldest.Offsets) != 1 ||
		!strings.Contains(err.Error(), "more than the gateway reads again for a user") {
		t.Fatalf("too much: %v", err)
	}
	oldest := old.Oldest.Offsets[0].Offset
	if oldest < 450 || oldest > 650 || old.Oldest.Epoch == "" {
		t.Errorf("the oldest position is %v, a megabyte is 500 records", old.Oldest)
	}
	if err := ask("m1", oldest); err != nil {
		t.Errorf("from the oldest position: %v", err)
	}
	// The next request needs records that are not kept.
	var wait *rooms.NotNowError
	if err := ask("m1", oldest-20); !errors.As(err, &wait) || wait.RetryAfter < 20*time.Second ||
		wait.RetryAfter > time.Minute {
		t.Errorf("with an empty budget: %v", err)
	}
	if err := ask("b1", oldest+100); err != nil {
		t.Errorf("another user: %v", err)
	}
	s := r.c.RecallStats()
	if s.RefusedBy["too_much"] != 1 || s.RefusedBy["budget"] != 1 || s.Refused != 2 {
		t.Errorf("%+v", s.RefusedBy)
	}
}

// TestRecallMoreWaits: the rest of a request that was begun waits for the user's budget. It is not
// refused.
func TestRecallMoreWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 1000).ListenAddrs(),
		Config{RecallBytes: 8 << 20, RecallMemory: 1 << 20, Start: "beginning"}, both()).start().ready()
	if got, err := r.recallAs("m1", "all", []int64{-1}, []int64{999})(); err != nil || len(got) != 1000 {
		t.Fatalf("%d, %v", len(got), err)
	}
	q := r.recallOf("m1", "own:k1", []int64{-1}, []int64{999})
	q.More = true
	var err error
	for i := 0; i < 100 && err == nil; i++ { // until the budget is used up
		_, err = r.recallAs("m1", "all", []int64{-1}, []int64{999})()
	}
	if !errors.As(err, new(*rooms.NotNowError)) {
		t.Fatalf("the budget is not used up: %v", err)
	}
	if _, err := r.askRecall(q)(); err != nil {
		t.Errorf("the rest: %v", err)
	}
}

// TestRecallStalled: members that are sent nothing give their frames back when others need the
// memory. Those go on at once. The frames of one user's members are bounded.
func TestRecallStalled(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 3000).ListenAddrs(), Config{RecallMemory: 1 << 20, Start: "beginning"},
		both()).start().ready()
	var mu sync.Mutex
	held := map[*rooms.Past]bool{}
	stall := func(user string, from int64) error {
		q := r.recallOf(user, "all", []int64{from}, []int64{2999})
		q.TakeBack = func(p *rooms.Past) {
			mu.Lock()
			delete(held, p)
			mu.Unlock()
			p.Release()
		}
		past, err := r.askRecall(q)()
		if err == nil {
			mu.Lock()
			held[past] = true
			mu.Unlock()
		}
		return err
	}
	for i := range 20 { // each holds a part of its own
		if err := stall(fmt.Sprint("m", i), int64(i*100)); err != nil {
			t.Fatal(err)
		}
	}
	s := r.c.RecallStats()
	if s.Handed > 1<<20+128<<10 || s.TakenBack == 0 {
		t.Errorf("%+v", s)
	}
	began := time.Now()
	if got, err := r.recallAs("a1", "own:k7", []int64{-1}, []int64{2999})(); err != nil || len(got) != 60 {
		t.Errorf("beside them: %d, %v", len(got), err)
	}
	t.Logf("beside them it took %s", time.Since(began))
	mu.Lock()
	defer mu.Unlock()
	if len(held) == 0 || len(held) > 19 {
		t.Errorf("%d of 20 still hold a part", len(held))
	}
}

// TestRecallOtherEpoch: positions of another epoch are too old, and the error has the oldest
// positions.
func TestRecallOtherEpoch(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 100).ListenAddrs(), Config{Start: "beginning"}, both()).start().ready()
	q := r.recallOf("m1", "all", []int64{5}, []int64{99})
	q.Epoch = "other"
	_, err := r.askRecall(q)()
	var old *rooms.TooOldError
	if !errors.As(err, &old) || !strings.Contains(err.Error(), `of epoch "other"`) ||
		old.Oldest.Epoch != q.Pattern.Feed.Epoch() {
		t.Fatalf("another epoch: %v", err)
	}
	if at := old.Oldest.Offsets; len(at) != 1 || at[0].Offset != -1 {
		t.Errorf("the oldest position is %v", at)
	}
}

// TestRecallDropped: a request that was dropped is not served.
func TestRecallDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, padded(t, 100).ListenAddrs(), Config{Start: "beginning"}, both()).start().ready()
	q := r.recallOf("m1", "all", []int64{-1}, []int64{99})
	q.Drop()
	if _, err := r.askRecall(q)(); err == nil {
		t.Error("it was served")
	}
	if s := r.c.RecallStats(); s.Records != 0 || s.RefusedBy["gone"] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRecallCrowd: the waiting requests of a user are bounded. A user without any is forgotten.
func TestRecallCrowd(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, both()).start().ready()
	k.ControlKey(kmsg.ListOffsets.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return noOffsets(req), nil, true
	})
	var answers []func() (*rooms.Past, error)
	for range maxUserRecalls + 5 {
		answers = append(answers, r.askRecall(r.recallOf("m1", "all", []int64{-1}, []int64{9})))
	}
	for i := range 5 {
		if _, err := answers[maxUserRecalls+i](); !errors.As(err, new(*rooms.NotNowError)) {
			t.Errorf("the %dth too many: %v", i, err)
		}
	}
	if s := r.c.RecallStats(); s.Waiting != maxUserRecalls || s.RefusedBy["crowd"] != 5 || s.Users != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRecallUsersForgotten: users with full budgets are forgotten.
func TestRecallUsersForgotten(t *testing.T) {
	a := newRecaller(&Consumer{cfg: Config{RecallBytes: 6000}})
	now := time.Now()
	for i := range 1000 {
		a.user(rooms.Payer{User: fmt.Sprint(i)}).left = 0
	}
	a.user(rooms.Payer{User: "whole"})
	a.user(rooms.Payer{User: "waits"}).waiting = 1
	a.tidy(now)
	if n := len(a.users); n != 1001 {
		t.Errorf("%d users are counted, 1001 are in debt or wait", n)
	}
	a.tidy(now.Add(61 * time.Second))
	if n := len(a.users); n != 1 || a.users["waits"] == nil || a.figures.users.Load() != 1 {
		t.Errorf("%d users are counted, one waits", n)
	}
}
