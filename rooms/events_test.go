package rooms

import (
	"slices"
	"testing"
	"time"
)

func TestPositionsBeforeProgress(t *testing.T) {
	feed := newOpenFeed(2)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed}, &Pattern{Match: "none", Class: stream})
	l := m.listen()
	member := m.join(l, "a")[0]
	m.is(member.Positions, `{}`)
	m.put("a", 0, 7, "1")
	m.is(m.join(l, "a")[0].Positions, `{}`) // a partition left out would be read from its start
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{}`)
	m.put("a", 1, 3, "1")
	m.is(m.join(l, "a")[0].Positions, `{"epoch":"e1","0":7,"1":3}`)
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{"epoch":"e1","0":6,"1":2}`)

	m.is(m.join(l, "none")[0].Positions, `{}`) // no topic feeds it
}

func TestProgressNeverGoesBack(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed})
	at := func(want string) {
		t.Helper()
		m.is(m.join(m.listen(), "a")[0].Positions, want)
	}
	m.batch.Progress(feed, 0, 9)
	m.batch.Progress(feed, 0, 4)
	m.batch.Progress(feed, 1, 4) // there is none yet
	m.send()
	at(`{"epoch":"e1","0":9}`)
	m.batch.Progress(feed, 0, 8)
	m.send()
	at(`{"epoch":"e1","0":9}`)
	mustPanic(t, "BUG: topic x has an event before it was opened", func() { m.batch.Progress(NewFeed("x"), 0, 1) })
}

// An event belongs to the epoch in which it was added, however late the
// appender comes to it.
func TestEventsKeepTheirEpoch(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed})
	late := m.NewBatch()
	late.Progress(feed, 0, 100)
	early := m.NewBatch()
	early.Progress(feed, 0, 50)
	m.batch.Reset(feed, "e2", 1)

	m.batch, early = early, m.batch // e1 is all that the shard has heard of
	m.send()
	m.is(m.join(m.listen(), "a")[0].Positions, `{"epoch":"e1","0":50}`)
	m.batch = early
	m.send()
	m.is(m.join(m.listen(), "a")[0].Positions, `{"epoch":"e2","0":-1}`)
	m.batch = late
	m.send()
	m.is(m.join(m.listen(), "a")[0].Positions, `{"epoch":"e2","0":-1}`)
}

func TestGrow(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed})
	member := m.join(m.listen(), "a")[0]
	m.batch.Grow(feed, 2) // before anything was read
	m.send()
	m.batch.Progress(feed, 1, 0)
	m.send()
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{}`) // nothing is known of partition 0
	m.batch.Progress(feed, 0, 4)
	m.send()
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{"epoch":"e1","0":4,"1":0}`)

	m.batch.Grow(feed, 2)
	m.batch.Grow(feed, 1) // fewer never
	m.send()
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{"epoch":"e1","0":4,"1":0}`)

	other := m.NewBatch()
	other.Grow(feed, 4) // read by another consumer, and late
	m.add("a", 3, 0, "first")
	m.batch.Progress(feed, 3, 0)
	m.send()
	m.is(m.PositionsAt(member.Sub.Room(), member.At+1), `{"epoch":"e1","0":4,"1":0,"2":-1,"3":0}`)
	m.batch = other
	m.send()
	m.is(m.PositionsAt(member.Sub.Room(), member.At+1), `{"epoch":"e1","0":4,"1":0,"2":-1,"3":0}`)
	m.is(m.PositionsAt(member.Sub.Room(), member.At), `{"epoch":"e1","0":4,"1":0,"2":-1,"3":-1}`)
	if feed.Partitions() != 4 || feed.Epoch() != "e1" {
		t.Errorf("the feed has %d partitions in epoch %q", feed.Partitions(), feed.Epoch())
	}
}

func TestGap(t *testing.T) {
	feed := newOpenFeed(2)
	m := newManual(t, Config{},
		&Pattern{Match: "a", Class: stream, Feed: feed},
		&Pattern{Match: "other", Class: stream, Feed: NewFeed("other")},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	l := m.listen()
	members := m.join(l, "a", "other", "o:0", "o:1")
	const notice = `{"jsonrpc":"2.0","method":"gap","params":{"room":"a","from":{"epoch":"e1","1":2},` +
		`"to":{"epoch":"e1","1":5}}}`
	m.add("a", 1, 2, "1")
	m.add("a", 0, 2, "1")
	m.batch.Gap(feed, 1, 2, 5)
	m.add("a", 1, 6, "2")
	m.add("a", 0, 6, "2")
	m.batch.Progress(feed, 0, 6)
	m.batch.Progress(feed, 1, 6)
	m.send()
	a := members[0].Sub.Room()
	got, _ := m.frames(a, members[0].At)
	want := []string{
		`{"room":"a","type":"t","pos":"1:2","ts":1,"data":1}`,
		`{"room":"a","type":"t","pos":"0:2","ts":1,"data":1}`,
		notice,
		`{"room":"a","type":"t","pos":"1:6","ts":1,"data":2}`, // what was lost may have been before it
		`{"room":"a","type":"t","pos":"0:6","prev":"0:2","ts":1,"data":2}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for i, n := range []int{5, 0, 1, 1} { // what was lost may have been any room's
		if got, _ := m.frames(members[i].Sub.Room(), members[i].At); len(got) != n {
			t.Errorf("%s got %q, want %d frames", members[i].Name, got, n)
		}
	}
	// A member that was not sent the notice is before what was lost.
	m.is(m.PositionsAt(a, members[0].At), `{"epoch":"e1","0":1,"1":1}`)
	m.is(m.PositionsAt(a, members[0].At+2), `{"epoch":"e1","0":5,"1":2}`)
	m.is(m.PositionsAt(a, members[0].At+3), `{"epoch":"e1","0":5,"1":5}`)
	m.is(m.PositionsAt(a, members[0].At+5), `{"epoch":"e1","0":6,"1":6}`)
	m.batch.Gap(feed, 0, 6, 9)
	m.batch.Progress(feed, 0, 9)
	m.send()
	m.is(m.PositionsAt(a, members[0].At+5), `{"epoch":"e1","0":6,"1":6}`)
	m.is(m.PositionsAt(a, members[0].At+6), `{"epoch":"e1","0":9,"1":6}`)
	m.is(m.PositionsAt(members[3].Sub.Room(), 0), `{"epoch":"e1","0":6,"1":2}`)
	m.is(m.PositionsAt(members[3].Sub.Room(), 2), `{"epoch":"e1","0":9,"1":6}`)
}

func TestReset(t *testing.T) {
	feed := newOpenFeed(2)
	m := newManual(t, Config{},
		&Pattern{Match: "a", Class: stream, Feed: feed},
		&Pattern{Match: "kept", Class: &Class{Name: "kept", Keep: true}, Feed: feed},
		&Pattern{Match: "other", Class: stream, Feed: NewFeed("other")},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	l := m.listen()
	members := m.join(l, "a", "o:1", "other")
	a := members[0].Sub.Room()
	m.add("a", 0, 500, "1")
	m.add("kept", 0, 500, "1")
	m.add("o:1", 0, 500, "1")
	m.add("o:2", 0, 500, "1")
	m.batch.Progress(feed, 0, 500)
	m.batch.Progress(feed, 1, 700)
	m.batch.Reset(feed, "e2", 3)
	m.send()
	if feed.Epoch() != "e2" || feed.Partitions() != 3 {
		t.Errorf("the feed has %d partitions in epoch %q", feed.Partitions(), feed.Epoch())
	}
	if n := len(m.told); n != 2 {
		t.Errorf("told of %d rooms, want a and o:1", n)
	}
	const none = `{"epoch":"e2","0":-1,"1":-1,"2":-1}`
	m.is(m.PositionsAt(a, 0), `{}`) // a position in the old epoch, which nobody knows any more
	m.is(m.PositionsAt(a, 1), `{}`)
	m.is(m.PositionsAt(a, 2), none)
	// Joined since: what the room held before is of an epoch that means nothing now.
	for _, s := range m.join(l, "a", "kept", "o:1", "o:2") {
		m.is(s.Positions, none)
		m.is(m.PositionsAt(s.Sub.Room(), s.At), none)
		if listened := s.Name == "a" || s.Name == "o:1"; !listened && s.Sub.Room().Tail() != s.At {
			t.Errorf("%s still has frames of the old epoch", s.Name)
		}
	}
	m.put("a", 0, 0, "2") // offsets begin again
	got, next := m.frames(a, members[0].At)
	want := []string{
		`{"room":"a","type":"t","pos":"0:500","ts":1,"data":1}`,
		`{"jsonrpc":"2.0","method":"reset","params":{"room":"a","epoch":"e2"}}`,
		`{"room":"a","type":"t","pos":"0:0","ts":1,"data":2}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	m.is(m.PositionsAt(a, next), `{"epoch":"e2","0":0,"1":-1,"2":-1}`)
	m.is(m.PositionsAt(a, 0), `{}`)
	got, _ = m.frames(members[1].Sub.Room(), members[1].At)
	if len(got) != 2 || got[1] != `{"jsonrpc":"2.0","method":"reset","params":{"room":"o:1","epoch":"e2"}}` {
		t.Errorf("the private room got %q", got)
	}

	// A gap never gives offsets of one epoch under the name of another.
	for i := range int64(300) {
		m.put("a", 0, i+1, "3")
		m.put("kept", 1, i, "3")
	}
	m.pass(time.Hour)
	m.sweep()
	from, to, tail := m.GapAt(a, 1)
	m.is(from, `{"epoch":"e2"}`)
	m.is(to, `{"epoch":"e2","0":300,"1":299,"2":-1}`)
	if tail != a.Head() {
		t.Errorf("the tail is %d, the head %d", tail, a.Head())
	}
}
