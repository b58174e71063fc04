package rooms

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Many rooms in one journal, against a list of what each was sent and when.
func TestPrivateRoomsModel(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{},
		&Pattern{Match: "o:{owner}",
			Class: &Class{Name: "o", Owner: "{sub}", RetainAge: privateAge * time.Millisecond}, Feed: feed})
	x := &privates{manual: m, l: m.listen(), rnd: rand.New(rand.NewPCG(4, 5)),
		history: map[string][]sentText{}, members: map[string][]Member{}}
	const names = 50
	for range 6000 {
		// Some often, some hardly ever.
		name := fmt.Sprintf("o:%d", x.rnd.IntN(names)*x.rnd.IntN(names)/names)
		x.step(name)
		x.same(name)
	}
	for _, list := range x.members {
		for _, member := range list {
			m.leave(member.Sub)
		}
	}
	m.pass(time.Hour)
	m.sweep()
	if got := m.Stats(); got.Rooms != 0 || got.TapeBytes != 0 {
		t.Errorf("something is left: %+v", got)
	}
}

const privateAge = 30_000 // ms

// sentText is part of a frame, and when it was sent.
type sentText struct {
	text string
	at   int64
}

// privates is private rooms in one journal, and what each was sent since it was made.
type privates struct {
	*manual
	l       *Listener
	rnd     *rand.Rand
	history map[string][]sentText
	members map[string][]Member
	off     int64
}

func (x *privates) step(name string) {
	x.t.Helper()
	switch n := x.rnd.IntN(40); {
	case n < 25:
		x.put(name, 0, x.off, fmt.Sprint(x.off))
		x.history[name] = append(x.history[name], sentText{fmt.Sprintf(`"pos":"0:%d"`, x.off), x.shards[0].now})
		x.off++
		if r := x.room(name); r.Head() != uint64(len(x.history[name])) {
			x.t.Fatalf("%s has %d frames, want %d", name, r.Head(), len(x.history[name]))
		}
	case n < 28:
		member := x.join(x.l, name)[0]
		if member.At != uint64(len(x.history[name])) {
			x.t.Fatalf("%s is joined at %d, its frames are %d", name, member.At, len(x.history[name]))
		}
		x.members[name] = append(x.members[name], member)
	case n < 31:
		if list := x.members[name]; len(list) > 0 {
			x.leave(list[0].Sub)
			x.members[name] = list[1:]
		}
	case n < 32:
		x.sweep()
		x.swept()
	case n < 39:
		x.pass(time.Duration(x.rnd.Int64N(300)) * time.Millisecond)
	default:
		x.pass(time.Duration(x.rnd.Int64N(2*privateAge)) * time.Millisecond)
	}
}

// swept: the rooms that have gone were empty, old and without members, and no such room is left.
func (x *privates) swept() {
	x.t.Helper()
	now := x.shards[0].now
	for name, h := range x.history {
		if r := x.room(name); r == nil {
			if len(x.members[name]) > 0 {
				x.t.Fatalf("%s is gone with %d members in it", name, len(x.members[name]))
			}
			if n := len(h); n > 0 && h[n-1].at >= now-privateAge {
				x.t.Fatalf("%s is gone %d ms after its last frame", name, now-h[n-1].at)
			}
			delete(x.history, name)
		} else if r.Tail() == r.Head() && len(x.members[name]) == 0 {
			x.t.Fatalf("%s is empty and without members, and still there", name)
		}
	}
}

// same: what is young enough is there, and what is there is what was sent.
func (x *privates) same(name string) {
	x.t.Helper()
	r, h, now := x.room(name), x.history[name], x.shards[0].now
	if r == nil {
		return
	}
	tail := r.Tail()
	for i, one := range h[:tail] {
		if one.at >= now-privateAge {
			x.t.Fatalf("%s lacks frame %d after %d ms", name, i, now-one.at)
		}
	}
	if tail > 0 {
		if _, _, lagged := r.Cut(x.rnd.Uint64N(tail), 1, nil); !lagged {
			x.t.Fatalf("%s gives frames before its tail %d", name, tail)
		}
	}
	got, _ := x.frames(r, tail)
	if len(got) != len(h)-int(tail) {
		x.t.Fatalf("%s has %d frames from %d on, want %d", name, len(got), tail, len(h)-int(tail))
	}
	for i, text := range got {
		if !strings.Contains(text, h[int(tail)+i].text) {
			x.t.Fatalf("%s: frame %d is %s, want %s", name, int(tail)+i, text, h[int(tail)+i].text)
		}
	}
	if list := r.refs.Load(); list != nil && len(list.nums) > 2*max(1, int(r.next-list.first)) {
		x.t.Fatalf("%s has space for %d references, and %d", name, len(list.nums), r.next-list.first)
	}
}

// Everything that retention takes from under a private member shows as a lag.
func TestPrivateLag(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	member := m.join(m.listen(), "o:1")[0]
	r := member.Sub.Room()
	f := func(at uint64, lagged bool, tail uint64) {
		t.Helper()
		next, pieces, got := r.Cut(at, 1<<20, nil)
		if got != lagged || got && (next != at || len(pieces) != 0) {
			t.Errorf("a cut from %d of %d: lagged is %v, %d pieces", at, r.Head(), got, len(pieces))
		}
		if r.Tail() != tail {
			t.Errorf("the tail is %d, not %d", r.Tail(), tail)
		}
	}
	f(0, false, 0)
	m.put("o:1", 0, 0, "1")
	m.put("o:1", 0, 1, "1")
	m.put("o:2", 0, 2, "1")
	f(0, false, 0)
	m.pass(time.Hour)
	for j := range m.shards[0].journals {
		m.shards[0].expire(nil, m.shards[0].journals[j], j)
	}
	f(0, true, 2) // the references are still there, their frames are not
	f(1, true, 2)
	f(2, false, 2)
	m.is(m.PositionsAt(r, 2), `{"epoch":"e1","0":2}`)
	m.sweep()
	f(1, true, 2) // now not even those
	f(2, false, 2)
	m.put("o:1", 0, 3, "1")
	f(1, true, 2)
	f(2, false, 2)
	f(3, false, 2)
	from, to, tail := m.GapAt(r, 1)
	m.is(from, `{"epoch":"e1"}`)
	m.is(to, `{"epoch":"e1","0":2}`)
	if tail != 2 {
		t.Errorf("the gap ends at %d", tail)
	}
	m.is(m.PositionsAt(r, 2), `{"epoch":"e1","0":2}`)
	m.is(m.PositionsAt(r, 3), `{"epoch":"e1","0":3}`)
	if m.room("o:2") != nil {
		t.Error("o:2 is still there")
	}
}

func TestPrivateCutIsBounded(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	r := m.join(m.listen(), "o:1")[0].Sub.Room()
	for i := range int64(3 * maxPieces) {
		m.put("o:1", 0, i, "1")
	}
	next, pieces, _ := r.Cut(5, 1<<30, nil)
	if next != 5+maxPieces || len(pieces) != maxPieces {
		t.Errorf("a cut has %d pieces up to %d", len(pieces), next)
	}
	next, pieces, _ = r.Cut(5, 1, pieces[:2])
	if next != 6 || len(pieces) != 3 {
		t.Errorf("a cut of a byte has %d pieces up to %d", len(pieces)-2, next)
	}
}

// The rooms of a class and shard share a journal, those of another do not. Positions
// name all partitions, whichever of them a room has had records from.
func TestPrivateClassesAndPositions(t *testing.T) {
	feed := newOpenFeed(3)
	other := &Class{Name: "state", Owner: "{sub}", RetainAge: time.Minute}
	m := newManual(t, Config{},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed},
		&Pattern{Match: "n:{owner}", Class: private, Feed: feed},
		&Pattern{Match: "s:{owner}", Class: other, Feed: feed})
	l := m.listen()
	members := m.join(l, "o:1", "n:1", "s:1", "s:2")
	tape := func(i int) *Tape { return members[i].Sub.Room().tape }
	if tape(0) != tape(1) || tape(2) != tape(3) || tape(0) == tape(2) || len(m.shards[0].journals) != 2 {
		t.Error("journals are not by class")
	}
	m.put("o:1", 1, 4, "1")
	m.is(m.join(l, "o:1")[0].Positions, `{}`) // of the others nothing is known yet
	m.is(m.join(l, "n:2")[0].Positions, `{}`)
	m.is(m.join(l, "s:2")[0].Positions, `{}`)
	m.put("s:1", 0, 6, "1")
	m.put("n:2", 2, 5, "1")
	for _, room := range []string{"o:1", "n:1", "n:2"} {
		m.is(m.join(l, room)[0].Positions, `{"epoch":"e1","0":6,"1":4,"2":5}`)
	}
	m.is(m.join(l, "s:2")[0].Positions, `{"epoch":"e1","0":6,"1":4,"2":5}`)
	m.is(m.PositionsAt(members[2].Sub.Room(), 0), `{"epoch":"e1","0":5,"1":4,"2":5}`)
	m.pass(time.Second * 10)
	m.put("s:1", 0, 7, "1")
	m.pass(time.Second)
	m.sweep()
	if len(*tape(0).dir.Load()) != 0 || len(*tape(2).dir.Load()) == 0 {
		t.Error("a journal does not go by its class's age")
	}
	if got, _ := m.frames(members[2].Sub.Room(), 0); !slices.Equal(got, []string{
		`{"room":"s:1","type":"t","pos":"0:6","ts":1,"data":1}`,
		`{"room":"s:1","type":"t","pos":"0:7","prev":"0:6","ts":1,"data":1}`}) {
		t.Errorf("s:1 got %q", got)
	}
}
