package rooms

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// stated is a table of private rooms with last values, and of one feed.
func stated(t *testing.T, cfg Config) (*manual, *Feed) {
	feed := newOpenFeed(1)
	return newManual(t, cfg,
		&Pattern{Match: "p:{owner}",
			Class: &Class{Name: "state", Owner: "{sub}", Snapshot: true, RetainAge: time.Second}, Feed: feed},
		&Pattern{Match: "m:*",
			Class: &Class{Name: "market", Conflate: true, Snapshot: true, RetainAge: time.Second}, Feed: feed}), feed
}

// fill puts one value of 250 bytes into each room from to to, by batches of 100, with
// 10 ms and sometimes a sweep between them. It returns the next offset.
func (m *manual) fill(feed *Feed, room string, from, to int, off int64, most func() int64) int64 {
	m.t.Helper()
	value := `"` + strings.Repeat("v", 248) + `"`
	for i := from; i < to; i++ {
		m.add(fmt.Sprintf(room, i), 0, off, value)
		if off++; off%100 > 0 && i+1 < to {
			continue
		}
		m.batch.Progress(feed, 0, off-1)
		m.send()
		if got := m.usedLast.Load(); got > most() {
			m.t.Fatalf("last values take %d bytes after %d rooms, at most %d", got, i, most())
		}
		m.pass(10 * time.Millisecond)
		if off%1000 == 0 {
			m.shards[0].sweep()
		}
	}
	return off
}

// Last values at three times their budget: the oldest go, those of rooms with members
// stay, nothing is taken from the tapes, and a new member is told.
func TestLastBudget(t *testing.T) {
	const budget, rooms, members = 1 << 20, 6000, 100
	m, feed := stated(t, Config{Budget: 3 << 20, LastBudget: budget})
	l := m.listen()
	for i := range members {
		m.join(l, fmt.Sprintf("p:%d", i))
	}
	m.fill(feed, "p:%d", 0, rooms, 0, func() int64 { return budget/16*17 + 100<<10 })
	got := m.Stats()
	if got.Shed != 0 || got.OutOfMemory < rooms/2 || !got.LastFull || got.Evicted+got.Expired != 0 {
		t.Errorf("%+v", got)
	}
	has := func(i int) bool { r := m.room(fmt.Sprintf("p:%d", i)); return r != nil && r.last.keys > 0 }
	kept := budget / 516
	for i := range rooms {
		switch want := i < members || i >= rooms-kept*3/4; {
		case i >= members && i < rooms-kept*5/4:
			if has(i) {
				t.Fatalf("room %d of %d is older than those that have gone", i, rooms)
			}
		case want && !has(i):
			t.Fatalf("the value of room %d of %d has gone", i, rooms)
		}
	}
	evicted := fmt.Sprintf("p:%d", members)
	if s := m.join(l, "p:0", evicted); s[0].Partial || !s[1].Partial || s[0].Keys != 1 || s[1].Keys != 0 {
		t.Errorf("members %+v", s)
	}
	if !m.Partial(m.room(evicted)) || m.Partial(m.room("p:0")) {
		t.Error("the rooms themselves say otherwise")
	}
	// The room goes, and another is made: what has gone is missing still.
	m.pass(time.Minute)
	m.sweep()
	if m.room("p:500") != nil {
		t.Fatal("an empty room is left")
	}
	if s := m.join(l, "p:500"); !s[0].Partial {
		t.Error("the room is whole after it was made again")
	}
	m.pass(24 * time.Hour)
	m.began = m.began.Add(-26 * time.Hour)
	if s := m.join(l, evicted, "p:501"); s[0].Partial || s[1].Partial || m.Partial(m.room(evicted)) ||
		m.Stats().LastFull {
		t.Errorf("after the key_ttl of all that has gone: %+v", s)
	}
	if r := m.room(evicted); len(r.last.order.Load().frames) > 2 {
		t.Error("the room holds what has gone")
	}
}

// A reset makes a partial room whole, and so does the value of a room with bare frames.
func TestPartialEnds(t *testing.T) {
	m, feed := stated(t, Config{LastBudget: 1 << 20})
	bare := &Pattern{Match: "x", Class: &Class{Name: "bare", Snapshot: true}, Feed: feed, Bare: true, prefix: "x"}
	m.Catalog().patterns, m.Catalog().literal["x"] = append(m.Catalog().patterns, bare), bare
	m.put("x", 0, 0, "1")
	m.put("p:kept", 0, 1, "1")
	m.put("p:gone", 0, 2, "1")
	s := m.shards[0]
	s.evicting.cut = s.now + 1
	m.usedLast.Add(1 << 30)
	for _, name := range []string{"x", "p:gone", "p:kept"} {
		s.evictFrom(m.room(name))
	}
	m.usedLast.Add(-1 << 30)
	if !m.Partial(m.room("x")) || !m.Partial(m.room("p:kept")) {
		t.Fatal("the rooms are whole")
	}
	m.put("x", 0, 3, "2")
	if m.Partial(m.room("x")) {
		t.Error("a bare room with its value is partial")
	}
	m.put("p:kept", 0, 4, "2")
	if !m.Partial(m.room("p:kept")) {
		t.Error("a room of which nobody knows how many keys it had is whole")
	}
	l := m.listen()
	m.join(l, "p:kept")
	m.pass(time.Minute)
	m.sweep()
	if s.partial[m.Catalog().Patterns()[0]] == 0 {
		t.Fatal("the room that was removed has left nothing behind")
	}
	m.batch.Reset(feed, "e2", 1)
	m.send()
	if s := m.join(l, "p:kept", "p:gone"); s[0].Partial || s[1].Partial {
		t.Errorf("the topic is new, and rooms are partial: %+v", s)
	}
}

// A member that has been sent a value that is evicted goes on; one that has not
// begins again with a snapshot, but one that is in a snapshot does not.
func TestEvictedWalks(t *testing.T) {
	m, _ := stated(t, Config{LastBudget: 1 << 20})
	s, room := m.shards[0], "m:a"
	m.batch.Progress(m.Catalog().Patterns()[1].Feed, 0, -1)
	m.send()
	for i, k := range []string{"a", "b", "c", "d"} {
		m.putKey(k, int64(i))
	}
	r := m.room(room)
	start, resumed := r.Forgotten(), Known{}
	m.evict(r.last.find([]byte("c")).at) // a and b go
	if r.last.keys != 2 || m.Stats().OutOfMemory != 2 {
		t.Fatalf("%d keys are left", r.last.keys)
	}
	f := func(at uint64, known Known, lost bool, frames int) {
		t.Helper()
		_, pieces, _, got := r.CutLatest(at, known, 1<<20, nil, nil)
		n := 0
		for _, p := range pieces {
			n += p.Frames()
		}
		if got != lost || n != frames {
			t.Errorf("from %d: lost %v with %d frames, want %v with %d", at, got, n, lost, frames)
		}
	}
	f(0, Known{}, true, 0)
	f(1, Known{}, true, 0)
	f(2, Known{}, false, 2)
	f(3, Known{}, false, 1)
	f(0, start, false, 2)
	f(0, r.Forgotten(), false, 2)
	f(0, resumed, true, 0)
	// A member with b continues. One with only a is told that b has gone.
	resume := func(off int64) *Member { return m.since(room, Positions{Epoch: "e1", Offsets: []Pos{{0, off}}}) }
	if got := resume(0); got.TooOld == nil || !got.Partial {
		t.Errorf("a client that lacks what has gone: %+v", got)
	}
	got := resume(1)
	if got.TooOld != nil || got.Resume == nil {
		t.Fatalf("a client that has all that has gone: %+v", got)
	}
	f(0, got.Resume.Known, false, 2)
	// Tombstones that take the space go, too, and are what a snapshot must hear of.
	m.batch.Add(&Record{Pattern: r.pattern, Room: []byte(room), HasKey: true, Key: []byte("c"), Offset: 4})
	m.send()
	start = r.Forgotten()
	m.evict(s.now + 1)
	if r.last.bytes != 0 || len(r.last.graves) != 0 || m.usedLast.Load() != 0 {
		t.Errorf("%d bytes, %d tombstones are left", r.last.bytes, len(r.last.graves))
	}
	f(0, start, true, 0)
	f(0, r.Forgotten(), false, 0)
}

// putKey gives room m:a of stated a value of a key, a second before whatever comes next.
func (m *manual) putKey(k string, off int64) {
	m.t.Helper()
	p := m.Catalog().Patterns()[1]
	m.batch.Add(&Record{Pattern: p, Room: []byte("m:a"), HasKey: true, Key: []byte(k), Offset: off,
		Value: []byte("1")})
	m.batch.Progress(p.Feed, 0, off)
	m.send()
	m.pass(time.Second)
}

// evict takes the values of room m:a from before a time, as if memory were used up.
func (m *manual) evict(before int64) {
	s := m.shards[0]
	s.evicting.cut = before
	m.usedLast.Add(1 << 30)
	s.evictFrom(m.room("m:a"))
	m.usedLast.Add(-1 << 30)
}

// A snapshot that has sent a value begins again when a newer one of that key is evicted, or
// its member would have the old one for good.
func TestEvictedSinceSent(t *testing.T) {
	m, _ := stated(t, Config{LastBudget: 1 << 20})
	for i, k := range []string{"a", "b", "c"} {
		m.putKey(k, int64(i))
	}
	r := m.room("m:a")
	start := r.Forgotten()
	at, pieces, level, lost := r.CutLatest(0, start, 1, nil, nil)
	if len(pieces) != 1 || level || lost {
		t.Fatalf("%d pieces, level %v, lost %v: the walk is not under way", len(pieces), level, lost)
	}
	m.evict(r.last.find([]byte("c")).at) // a, which was sent, and b, which was not
	if _, pieces, level, lost := r.CutLatest(at, start, 1<<20, nil, nil); len(pieces) != 1 || !level || lost {
		t.Errorf("%d pieces, level %v, lost %v after values of before the snapshot went", len(pieces), level, lost)
	}
	m.putKey("a", 3)
	m.evict(m.shards[0].now + 1)
	if _, pieces, _, lost := r.CutLatest(at, start, 1<<20, nil, nil); !lost || len(pieces) != 0 {
		t.Errorf("%d pieces, lost %v: the member has the value of a before the last", len(pieces), lost)
	}
}

// A shard whose rooms all have members waits for the others to give first.
func TestMembersKeepTheirValues(t *testing.T) {
	const budget = 1 << 20
	m, feed := stated(t, Config{LastBudget: budget, Shards: 2})
	l := m.listen()
	var idle, busy []string
	for i := 0; len(busy) < 500 || len(idle) < 2100; i++ {
		if name := fmt.Sprintf("p:%d", i); m.shardOf(name) == 0 {
			idle = append(idle, name)
		} else {
			busy = append(busy, name)
		}
	}
	value, off := `"`+strings.Repeat("v", 248)+`"`, int64(0)
	put := func(names []string) {
		for _, name := range names {
			m.add(name, 0, off, value)
			off++
		}
		m.batch.Progress(feed, 0, off-1)
		m.send()
		m.pass(10 * time.Millisecond)
	}
	put(idle[:2000])
	m.join(l, busy[:250]...)
	put(busy[:250]) // over the budget, in a shard that has members everywhere
	if m.usedLast.Load() <= budget || m.Stats().OutOfMemory != 0 {
		t.Fatalf("%d bytes after %d values went", m.usedLast.Load(), m.Stats().OutOfMemory)
	}
	m.shards[1].sweep()
	m.shards[0].sweep()
	if got := m.usedLast.Load(); got > budget {
		t.Errorf("%d bytes", got)
	}
	for _, name := range busy[:250] {
		if r := m.room(name); r.last.keys != 1 {
			t.Fatalf("%s has lost its value to rooms that nobody is in", name)
		}
	}
	// With members everywhere it is theirs that go, the oldest first.
	m.join(l, idle...)
	for i := range 4 {
		put(busy[250+25*i : 275+25*i])
		m.join(l, busy[250+25*i:275+25*i]...)
	}
	put(idle[1000:])
	for range 3 {
		m.shards[0].sweep()
		m.shards[1].sweep()
	}
	if got := m.usedLast.Load(); got > budget {
		t.Errorf("%d bytes of rooms with members", got)
	}
	if r := m.room(idle[len(idle)-1]); r.last.keys != 1 {
		t.Error("the newest value has gone")
	}
}
