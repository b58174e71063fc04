package ingest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/rooms"
)

// TestPositionsAt: in each partition the position of a time is the offset before the first record
// of that time or later, or the end if there is none.
func TestPositionsAt(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	begin, topic := time.Now().Truncate(time.Second).Add(-time.Hour), "a"
	for i := range 20 { // partition 1 has the first ten only
		if part := int32(i % 2); part == 0 || i < 10 {
			w.send(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: part},
				Value: []byte(`{"n":1}`), Timestamp: begin.Add(time.Duration(i) * time.Second)})
		}
	}
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	p, _, _ := r.catalog.Resolve("all")
	type answer struct {
		at  rooms.Positions
		err error
	}
	answers := make(chan answer, 100)
	ask := func(d time.Duration) {
		r.c.PositionsAt(p, begin.Add(d).UnixMilli(), "u",
			func(at rooms.Positions, err error) { answers <- answer{at, err} })
	}
	f := func(d time.Duration, offsets ...int64) {
		t.Helper()
		var list []rooms.Pos
		for part, off := range offsets {
			list = append(list, rooms.Pos{Partition: int32(part), Offset: off})
		}
		for range 20 { // they share one look-up, or a kept answer
			ask(d)
		}
		for range 20 {
			got := <-answers
			if want := fmt.Sprint(list); got.err != nil || got.at.Epoch != p.Feed.Epoch() ||
				fmt.Sprint(got.at.Offsets) != want {
				t.Fatalf("after %s: %v, %v; not %s", d, got.at, got.err, want)
			}
		}
	}
	f(-time.Minute, -1, -1)
	f(0, -1, -1)
	f(time.Millisecond, -1, -1) // a tenth of a second earlier at most
	f(time.Second, 0, -1)
	f(6*time.Second, 2, 2)
	f(6*time.Second+500*time.Millisecond, 3, 2)
	f(9*time.Second, 4, 3)
	f(10*time.Second, 4, 4)
	f(18*time.Second, 8, 4)
	f(19*time.Second, 9, 4)
	f(48*time.Hour, 9, 4)
	// A kept answer lacks new partitions, so it is not used.
	addPartitions(t, w, "a", 3)
	eventually(t, "read", func() bool { return r.c.Stats().Partitions == 3 })
	f(48*time.Hour, 9, 4, -1)

	if err := r.c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(0)
	if got := <-answers; !errors.Is(got.err, rooms.ErrStopped) {
		t.Errorf("a stopped consumer answers %v", got.err)
	}
}

// TestPositionsAtLost: a time is too old if records may have been deleted since then. The error has
// the positions left. A time is not too old if a remaining record is older, if an empty partition
// got no record since its assignment, or if nothing was ever deleted.
func TestPositionsAtLost(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	begin, topic := time.Now().Truncate(time.Second).Add(-time.Hour), "a"
	send := func(part int32, after time.Duration) {
		w.send(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: part},
			Value: []byte(`{"n":1}`), Timestamp: begin.Add(after)})
		w.flush()
	}
	for i := range 10 {
		send(0, time.Duration(i)*time.Second+250*time.Millisecond)
	}
	send(1, 0)
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	p, _, _ := r.catalog.Resolve("all")
	f := func(at time.Time, lost bool, offsets ...int64) {
		t.Helper()
		r.c.times.mu.Lock()
		clear(r.c.times.known)
		clear(r.c.times.ends)
		r.c.times.mu.Unlock()
		done := make(chan error, 1)
		var got rooms.Positions
		r.c.PositionsAt(p, at.UnixMilli(), "u", func(at rooms.Positions, err error) { got = at; done <- err })
		err := <-done
		var old *rooms.TooOldError
		if errors.As(err, &old) != lost || err != nil && (!lost || fmt.Sprint(old.Oldest) != fmt.Sprint(got)) {
			t.Fatalf("%s: %v", at, err)
		}
		for part, off := range offsets {
			if len(got.Offsets) != len(offsets) || got.Offsets[part].Offset != off {
				t.Fatalf("%s: %v, not %v", at, got, offsets)
			}
		}
	}
	f(begin.Add(-time.Hour), false, -1, -1) // nothing was ever deleted
	if err := k.DeleteRecords("a", 0, 4); err != nil {
		t.Fatal(err)
	}
	f(begin.Add(-time.Hour), true, 3, -1)
	f(begin.Add(3*time.Second), true, 3, 0)
	f(begin.Add(4*time.Second+249*time.Millisecond), true, 3, 0)
	f(begin.Add(4*time.Second+250*time.Millisecond), false, 3, 0) // the first record left
	f(begin.Add(5*time.Second), false, 4, 0)
	f(begin.Add(2*time.Hour), false, 9, 0)
	if err := k.DeleteRecords("a", 1, 1); err != nil {
		t.Fatal(err)
	}
	f(begin.Add(5*time.Second), true, 4, 0) // partition 1 may have got records since then
	f(time.Now(), false, 9, 0)              // but not since its assignment
	send(1, 2*time.Second)
	f(begin.Add(5*time.Second), false, 4, 1)
	f(begin.Add(1500*time.Millisecond), true, 3, 0)
	send(1, 3*time.Second)
	if err := k.DeleteRecords("a", 1, 3); err != nil {
		t.Fatal(err)
	}
	f(time.Now(), true, 9, 2) // it got records since, and is empty
}

// TestTimesShared: a client with many different times waits only for its own. Another user's time
// is looked up beside them. Times beyond one user's bound are refused.
func TestTimesShared(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	p, _, _ := r.catalog.Resolve("all")
	// Look-ups hang, so that many wait.
	hold := make(chan struct{})
	k.ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		k.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	now := time.Now()
	answers := make(chan error, maxUserTimes+100)
	ask := func(user string, i int, done func(error)) {
		at := now.Add(-time.Duration(i) * time.Second)
		r.c.PositionsAt(p, at.UnixMilli(), user, func(_ rooms.Positions, err error) { done(err) })
	}
	total := timeLookups + maxUserTimes + 20
	for i := range total {
		if i == timeLookups { // times that are being looked up are in no queue
			eventually(t, "some are being looked up", func() bool {
				r.c.times.mu.Lock()
				defer r.c.times.mu.Unlock()
				return len(r.c.times.turns) == 0
			})
		}
		ask("m1", i, func(err error) { answers <- err })
	}
	var busy *rooms.NotNowError
	for range 20 {
		if err := <-answers; !errors.As(err, &busy) || busy.RetryAfter <= 0 {
			t.Fatalf("more than a user may: %v", err)
		}
	}
	first := make(chan int, 1)
	ask("a1", 10_000, func(err error) {
		if err != nil {
			t.Error(err)
		}
		first <- len(answers)
	})
	close(hold)
	if before := <-first; before > maxUserTimes/4 {
		t.Errorf("%d of the other user's came before it", before)
	}
	for range total - 20 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if s := r.c.RecallStats(); s.Times != 0 || s.TimesRefused != 20 {
		t.Errorf("%d wait, %d were refused", s.Times, s.TimesRefused)
	}
}
