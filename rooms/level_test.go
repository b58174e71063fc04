package rooms

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// TestLevelMembersShareTheirText: members that are level with a topic have one text of
// its positions, which costs each of them a copy. One that is not has its own, and leaves
// that of the others alone.
func TestLevelMembersShareTheirText(t *testing.T) {
	const partitions = 64
	feed := newOpenFeed(partitions)
	m := newManual(t, Config{},
		&Pattern{Match: "a", Class: stream, Feed: feed},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	for part := range int32(partitions) {
		m.batch.Progress(feed, part, int64(part))
	}
	m.send()
	l := m.listen()
	members := m.join(l, "a", "o:1", "o:2", "o:3")
	m.put("o:1", 3, 4, "1") // and now all stand elsewhere
	text := func(s *Member, at uint64) string {
		return string(m.PositionsAt(s.Sub.Room(), at).AppendJSON(nil))
	}
	all := text(&members[0], 0)
	for i := range members[1:] {
		s := &members[i+1]
		p, q := m.PositionsAt(members[0].Sub.Room(), 0), m.PositionsAt(s.Sub.Room(), s.Sub.Room().Head())
		if len(p.Offsets) != partitions ||
			unsafe.SliceData(p.Offsets) != unsafe.SliceData(q.Offsets) || p.text != q.text {
			t.Errorf("%s and %s do not share what they have in common", members[0].Name, s.Name)
		}
		dst := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(10,
			func() { dst = m.PositionsAt(s.Sub.Room(), s.Sub.Room().Head()).AppendJSON(dst[:0]) }); n != 0 {
			t.Errorf("the text of %s takes %v allocations, not a copy", s.Name, n)
		}
		if got := string(dst); got != all {
			t.Errorf("%s stands at %s, not at %s", s.Name, got, all)
		}
	}
	// The position before the frame is not shared with others.
	if got := text(&members[1], 0); got == all || len(got) != len(all) {
		t.Errorf("a member that lacks a frame stands at %s", got)
	}
	raised := m.PositionsAt(members[2].Sub.Room(), 0).Raised("e1", []Pos{{7, 99}})
	m.is(Positions{Epoch: raised.Epoch, Offsets: raised.Offsets[:1]}, `{"epoch":"e1","0":0}`)
	if o := raised.of(7); o.Offset != 99 {
		t.Errorf("raised to %d, not to 99", o.Offset)
	}
	if got := text(&members[0], 0); got != all {
		t.Errorf("one member's positions have changed those of others: %s", got)
	}
	// So has a join, and a resume of a client that lacks nothing.
	at := m.join(l, "o:2")[0].Positions
	again := m.since("o:3", at)
	if again.TooOld != nil || again.Positions.text != at.text {
		t.Errorf("a client that lacks nothing has a text of its own: %v", again.TooOld)
	}
}

// since joins a room as a client does that was at p.
func (m *manual) since(room string, p Positions) *Member {
	m.t.Helper()
	pattern, _, _ := m.cfg.Catalog.Resolve(room)
	j := &Join{Done: func(*Join) {}, Rooms: []Member{{Name: room, Pattern: pattern, Since: &p}}}
	m.Join(m.listen(), j)
	m.answer()
	return &j.Rooms[0]
}

// TestSinceOfFewerPartitions: what a client came with may lack partitions, because the
// topic has grown or because it was given by a rule that named one of a private room. They
// are read from their start, by the tape where it goes back so far and else from Kafka,
// and what it names is never forgotten.
func TestSinceOfFewerPartitions(t *testing.T) {
	for _, class := range []*Class{private, stream} {
		match, room := "o:*", "o:42"
		if class.Private() {
			match = "o:{owner}"
		}
		feed := newOpenFeed(2)
		m := newManual(t, Config{}, &Pattern{Match: match, Class: class, Feed: feed})
		for part := range int32(2) {
			m.batch.Progress(feed, part, -1)
		}
		m.send()
		m.join(m.listen(), room)
		m.put(room, 0, 0, "1")
		if got := m.since(room, Positions{Epoch: "e1"}).Positions; len(got.Offsets) != 2 {
			t.Fatalf("joined at %v, want both partitions", got)
		}
		m.put(room, 1, 0, "1") // by a producer that has another partitioner
		m.put(room, 0, 1, "1")
		m.batch.Grow(feed, 6)
		m.put(room, 4, 0, "1")

		f := func(since []Pos, recall bool, want ...Pos) {
			t.Helper()
			member := m.since(room, Positions{Epoch: "e1", Offsets: since})
			if member.TooOld != nil {
				t.Fatal(member.TooOld)
			}
			if len(member.Positions.Offsets) != 6 || len(member.Resume.Have) != 6 {
				t.Errorf("since %v goes on at %v: not of all partitions", since, member.Positions.Offsets)
			}
			got := m.heard(member)
			if how := member.Resume; how.Recall {
				got = readAgain(t, member.Pattern, room, []Pos{{0, 0}, {1, 0}, {0, 1}, {4, 0}}, how)
			}
			if member.Resume.Recall != recall || !slices.Equal(got, want) {
				t.Errorf("since %v got %v (read again: %v), want %v", since, got, member.Resume.Recall, want)
			}
		}
		f([]Pos{{0, 0}}, false, Pos{1, 0}, Pos{0, 1}, Pos{4, 0})
		f([]Pos{{0, 1}}, false, Pos{1, 0}, Pos{4, 0})
		f([]Pos{{0, 1}, {1, 0}}, false, Pos{4, 0})
		f([]Pos{{4, 0}}, false, Pos{0, 0}, Pos{1, 0}, Pos{0, 1})
		f(nil, false, Pos{0, 0}, Pos{1, 0}, Pos{0, 1}, Pos{4, 0})
		f([]Pos{{0, 1}, {1, 0}, {4, 0}}, false)
		m.pass(time.Hour) // retention
		m.sweep()
		f([]Pos{{0, 0}}, true, Pos{1, 0}, Pos{0, 1}, Pos{4, 0})
		f([]Pos{{4, 0}}, true, Pos{0, 0}, Pos{1, 0}, Pos{0, 1})
		f([]Pos{{0, 1}, {1, 0}, {4, 0}}, false)
		f([]Pos{{0, 1}, {1, 0}}, true, Pos{4, 0})

		// Another node knows of more partitions: that passes, and no position is too old for it.
		var notNow *NotNowError
		if member := m.since(room, Positions{Epoch: "e1", Offsets: []Pos{{0, 1}, {6, 0}}}); !errors.As(member.TooOld,
			&notNow) || notNow.RetryAfter <= 0 {
			t.Errorf("a partition that is not known yet is answered with %v", member.TooOld)
		}
	}
}

// BenchmarkLevelPositions is the text of the positions of a member that is level, on a
// topic of as many partitions.
func BenchmarkLevelPositions(b *testing.B) {
	for _, partitions := range []int32{1, 6, 64} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			feed := newOpenFeed(partitions)
			m := newManual(b, Config{}, &Pattern{Match: "o:{owner}", Class: private, Feed: feed})
			for part := range partitions {
				m.batch.Progress(feed, part, 1_000_000+int64(part))
			}
			m.send()
			r := m.join(m.listen(), "o:1")[0].Sub.Room()
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = m.PositionsAt(r, r.Head()).AppendJSON(dst[:0])
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
