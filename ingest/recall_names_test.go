package ingest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// askNames asks for the rooms of a prefix that got a message after an offset. It returns a function
// that waits for the answer.
func (r *rig) askNames(prefix string, after, upTo int64, most int) func() ([]string, error) {
	r.t.Helper()
	q := r.recallOf("m1", "all:k1", []int64{after}, []int64{upTo})
	q.Room = prefix
	var names []string
	var failed error
	done := make(chan struct{})
	q.Most, q.Names = most, func(list []string, err error) {
		names, failed = list, err
		close(done)
	}
	r.c.Recall(q)
	return func() ([]string, error) {
		<-done
		return names, failed
	}
}

// TestRecallNames: a request for names gets the rooms that got a message in the stretch, whether
// the records can be kept or not, and also beside requests for messages.
func TestRecallNames(t *testing.T) {
	t.Parallel()
	const n = 1000
	k := padded(t, n)
	for _, memory := range []int64{0, 1 << 20} {
		route := route.Route{Topic: "a", Rooms: []string{"all", "all:{@key}"}, Type: "y"}
		r := newRig(t, k.ListenAddrs(), Config{RecallMemory: memory, Start: "beginning"}, route).start().ready()
		ones := []string{"all:k1"}
		var forties, all []string
		for i := range 50 {
			name := fmt.Sprint("all:k", i)
			all = append(all, name)
			if i >= 10 && i < 20 {
				ones = append(ones, name)
			} else if i >= 40 {
				forties = append(forties, name)
			}
		}
		slices.Sort(all)
		messages := r.recallAs("m1", "all:k7", []int64{-1}, []int64{n - 1})
		for _, q := range []struct {
			prefix string
			after  int64
			most   int
			want   []string
		}{
			{"all:k1", -1, 0, ones},
			{"all:k1", n - 11, 0, nil},
			{"all:k4", n - 11, 10, forties},
			{"all:", -1, 50, all},
			{"all:", n - 1, 0, nil},
		} {
			got, err := r.askNames(q.prefix, q.after, n-1, q.most)()
			if err != nil || !slices.Equal(got, q.want) {
				t.Errorf("%d: %s after %d: %v %v, not %v", memory, q.prefix, q.after, got, err, q.want)
			}
		}
		if got, err := r.askNames("all:", -1, n-1, 20)(); err != nil || len(got) <= 20 {
			t.Errorf("of too many: %v %v", got, err)
		}
		if got, err := messages(); err != nil || len(got) != n/50 {
			t.Errorf("%d messages, %v", len(got), err)
		}
		q := r.recallOf("m1", "all:k1", []int64{5}, []int64{n - 1})
		q.Epoch = "other"
		failed := make(chan error, 1)
		q.Names = func(_ []string, err error) { failed <- err }
		r.c.Recall(q)
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "too old") {
			t.Errorf("of another epoch: %v", err)
		}
	}
}

// TestRecallNamesPaid: names cost the user's budget like messages. A room that was found so still
// gets its messages, although the budget left is less than the stretch.
func TestRecallNamesPaid(t *testing.T) {
	t.Parallel()
	const n = 1000
	route := route.Route{Topic: "a", Rooms: []string{"all", "all:{@key}"}, Type: "y"}
	r := newRig(t, padded(t, n).ListenAddrs(), Config{RecallBytes: 3 << 20, Start: "beginning"}, route).start().ready()
	if names, err := r.askNames("all:", -1, n-1, 0)(); err != nil || len(names) != 50 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, judged := range []bool{false, true} {
		q := r.recallOf("m1", "all:k7", []int64{-1}, []int64{n - 1})
		q.Judged = judged
		past, err := r.askRecall(q)()
		var wait *rooms.NotNowError
		if errors.As(err, &wait) == judged || judged && (past == nil || past.Frames() != n/50) {
			t.Errorf("judged %t: %v", judged, err)
		}
		past.Release()
	}
}

// TestRecallHeartbeatOfEach: each request of a group is a turn of the recaller's heartbeat.
func TestRecallHeartbeatOfEach(t *testing.T) {
	a := newRecaller(&Consumer{})
	p := &rooms.Pattern{}
	k := a.topic(&topic{})
	k.keep(&piece{stretch: stretch{0, 0, 10}, rooms: map[string][]rooms.Record{"all:x": {{Pattern: p, Offset: 5}}}})
	g := &group{topic: k}
	turns := map[uint64]bool{}
	for range 3 {
		w := &asked{user: &recallUser{waiting: 1}, topic: k, from: []int64{0}}
		w.Recall = &rooms.Recall{Pattern: p, Room: "all:", UpTo: []rooms.Pos{{Partition: 0, Offset: 9}}}
		w.Names = func(names []string, err error) {
			n, busy := a.heartbeat.Turn()
			turns[n] = busy && len(names) == 1 && err == nil
		}
		g.list = append(g.list, w)
	}
	a.finish(g, nil, time.Now())
	if len(turns) != 3 || slices.Contains(slices.Collect(maps.Values(turns)), false) {
		t.Errorf("turns %v", turns)
	}
}
