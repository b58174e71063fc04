package rooms

import (
	"errors"
	"testing"
)

// TestOldest: where a position is too old, the answer says the oldest from which the room can be
// gone on in: of last values what this node knows, of all else what Kafka has, which is asked.
func TestOldest(t *testing.T) {
	feed := newOpenFeed(2)
	m := newManual(t, Config{},
		&Pattern{Match: "last", Class: &Class{Name: "market", Conflate: true, Snapshot: true}, Feed: feed},
		&Pattern{Match: "all", Class: &Class{Name: "stream"}, Feed: feed})
	m.batch.Progress(feed, 0, 9)
	m.batch.Progress(feed, 1, 4)
	m.send()
	m.pass(0)
	for off := range int64(3) {
		m.add("last", 0, 10+off, "1")
		m.batch.Progress(feed, 0, 10+off)
		m.send()
		m.pass(0)
	}
	for _, since := range []Positions{
		{Epoch: "e1", Offsets: []Pos{{0, 3}, {1, 1}}}, {Epoch: "e0", Offsets: []Pos{{0, 12}, {1, 4}}}, {},
	} {
		var old *TooOldError
		if err := m.since("last", since).TooOld; !errors.As(err, &old) {
			t.Fatalf("%v: %v", since, err)
		}
		if at := old.Oldest; at.Epoch != "e1" || at.of(0).Offset != 9 || at.of(1).Offset != 4 {
			t.Errorf("%v: the oldest is %v", since, at)
		}
		if err := m.since("last", old.Oldest).TooOld; err != nil {
			t.Errorf("%v cannot be gone on from: %v", old.Oldest, err)
		}
	}
	for _, epoch := range []string{"e0", ""} {
		how := m.since("all", Positions{Epoch: epoch, Offsets: []Pos{{0, 3}}}).Resume
		if how == nil || !how.Recall || how.Lost == "" || how.Have[0].Offset != -1 || how.UpTo[0].Offset != 12 ||
			len(how.UpTo) != 2 {
			t.Errorf("epoch %q: %+v", epoch, how)
		}
	}
}
