package rooms

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// watching is a test's listener with what it was told has appeared.
type watching struct {
	m       *manual
	l       *Listener
	found   []string // room@number and positions, and for how many watches
	members []Member
}

func newWatching(m *manual) *watching {
	w := &watching{m: m, l: m.listen()}
	w.l.Found = func(f *Found) {
		w.found = append(w.found,
			fmt.Sprintf("%s@%d%s*%d", f.Member.Name, f.Member.At, f.Member.Positions.AppendJSON(nil), len(f.Watches)))
		for range f.Watches {
			w.members = append(w.members, f.Member)
		}
	}
	return w
}

// watch begins a watch; the names and positions of its members are returned.
func (w *watching) watch(x *Watch) string {
	p, _, _ := w.m.cfg.Catalog.Resolve(x.Prefix + "x")
	x.Pattern = p
	done := 0
	w.m.Join(w.l, &Join{Watches: []*Watch{x}, Done: func(*Join) { done++ }})
	w.m.answer()
	if done != 1 {
		w.m.t.Errorf("answered %d times", done)
	}
	var list []string
	for _, s := range x.Members() {
		list = append(list, fmt.Sprintf("%s@%d%s", s.Name, s.At, s.Positions.AppendJSON(nil)))
		w.members = append(w.members, s)
	}
	return strings.Join(list, " ")
}

func (w *watching) took() string {
	slices.Sort(w.found)
	s := strings.Join(w.found, " ")
	w.found = nil
	return s
}

func (w *watching) unwatch(x *Watch) {
	w.m.Unwatch(x)
	w.m.answer()
}

func (w *watching) leaveAll() {
	for _, s := range w.members {
		w.m.leave(s.Sub)
	}
	w.members = nil
}

// watchesNow is how many prefixes and watches the shards hold.
func (m *manual) watchesNow() (prefixes, watches int) {
	for _, s := range m.shards {
		for _, groups := range s.watches {
			prefixes += len(groups)
			for _, g := range groups {
				watches += len(g.watches)
			}
		}
	}
	return prefixes, watches
}

func newWatchTable(t *testing.T, shards int) (*manual, *Feed) {
	feed := newOpenFeed(1)
	return newManual(t, Config{Shards: shards},
		&Pattern{Match: "a:*", Class: stream, Feed: feed},
		&Pattern{Match: "a:own:*", Class: stream, Feed: feed},
		&Pattern{Match: "a:bliteral", Class: stream, Feed: feed},
		&Pattern{Match: "k:*", Class: &Class{Name: "keep", Keep: true, RetainAge: time.Minute}, Feed: feed},
		&Pattern{Match: "b:*", Class: stream, Feed: feed}), feed
}

func TestWatch(t *testing.T) {
	m, _ := newWatchTable(t, 4)
	w := newWatching(m)
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	m.join(w.l, "a:b1", "a:b-asked-for")
	m.put("a:b1", 0, 0, "1") // there, since somebody listens
	m.put("a:b2", 0, 1, "1") // nobody does
	m.put("k:1", 0, 2, "1")
	m.put("k:22", 0, 3, "1")

	all, some, kept := &Watch{Prefix: "a:"}, &Watch{Prefix: "a:b"}, &Watch{Prefix: "k:2"}
	f(w.watch(all), `a:b1@1{"epoch":"e1","0":3}`)
	f(w.watch(some), `a:b1@1{"epoch":"e1","0":3}`)
	f(w.watch(kept), `k:22@1{"epoch":"e1","0":3}`)
	f(w.took(), "")

	m.put("a:b1", 0, 4, "1")
	f(w.took(), "")
	m.put("a:b-asked-for", 0, 5, "1")
	f(w.took(), `a:b-asked-for@0{"epoch":"e1","0":4}*1 a:b-asked-for@0{"epoch":"e1","0":4}*1`)
	m.put("a:c", 0, 6, "1")
	f(w.took(), `a:c@0{"epoch":"e1","0":5}*1`)
	m.put("a:own:b", 0, 7, "1") // of patterns of their own
	m.put("a:bliteral", 0, 8, "1")
	m.put("b:b", 0, 9, "1")
	m.put("k:1", 0, 10, "1")
	m.put("k:22", 0, 11, "1")
	f(w.took(), "")
	// Of one batch: the seam is before its first record.
	m.add("a:b", 0, 12, "1")
	m.add("k:2", 0, 13, "1")
	m.add("a:b", 0, 14, "1")
	m.batch.Progress(m.cfg.Feeds[0], 0, 14)
	m.send()
	f(w.took(), `a:b@0{"epoch":"e1","0":11}*1 a:b@0{"epoch":"e1","0":11}*1 k:2@0{"epoch":"e1","0":11}*1`)
	if got, _ := m.frames(m.room("a:b"), 0); len(got) != 2 {
		t.Errorf("a:b has %q", got)
	}
	if m.room("a:b2") != nil || m.room("a:own:b") != nil || m.room("b:b") != nil {
		t.Error("a room was made that nobody waits for")
	}

	again := &Watch{Prefix: "a:b"}
	f(w.watch(again), `a:b@2{"epoch":"e1","0":14} a:b-asked-for@1{"epoch":"e1","0":14} a:b1@2{"epoch":"e1","0":14}`)
	w.unwatch(all)
	m.put("a:d", 0, 15, "1")
	m.put("a:b3", 0, 16, "1")
	f(w.took(), `a:b3@0{"epoch":"e1","0":15}*2`)
	w.unwatch(again)
	w.unwatch(some)
	w.unwatch(some) // is nothing
	w.unwatch(kept)
	m.put("a:b4", 0, 17, "1")
	m.put("k:23", 0, 18, "1")
	f(w.took(), "")
	if p, n := m.watchesNow(); p != 0 || n != 0 {
		t.Errorf("%d prefixes and %d watches are left", p, n)
	}
	for _, p := range m.cfg.Catalog.Patterns() {
		if n := p.watches.Load(); n != 0 {
			t.Errorf("%s counts %d watches", p.Match, n)
		}
	}
	w.leaveAll()
}

// A room that nobody is in goes; when it comes again it is found again.
func TestWatchRoomsThatComeAgain(t *testing.T) {
	m, feed := newWatchTable(t, 2)
	w := newWatching(m)
	x := &Watch{Prefix: "a:"}
	w.watch(x)
	for off := range int64(3) {
		m.put("a:1", 0, off*10, "1")
		if got, want := w.took(), "a:1@0"; !strings.HasPrefix(got, want) {
			t.Fatalf("round %d: got %q, want %s…", off, got, want)
		}
		y := &Watch{Prefix: "a:1"}
		if got := w.watch(y); !strings.HasPrefix(got, "a:1@1") {
			t.Errorf("round %d: a second watch got %q", off, got)
		}
		w.unwatch(y)
		w.leaveAll()
		m.pass(time.Hour)
		m.sweep()
		if m.room("a:1") != nil {
			t.Fatal("the room is still there")
		}
		if got := w.watch(&Watch{Prefix: "a:"}); got != "" {
			t.Errorf("round %d: a watch got %q of a room that has gone", off, got)
		}
		w.unwatch(x)
		w.watch(x)
	}
	// What is read again makes a room, but nothing appears in it.
	m.add("a:old", 0, 5, "1")
	m.send()
	m.batch.Progress(feed, 0, 40)
	if got := w.took(); got != "" {
		t.Errorf("got %q by a record read twice", got)
	}
}

func TestWatchLimit(t *testing.T) {
	m, _ := newWatchTable(t, 4)
	w := newWatching(m)
	for i := range 40 {
		m.put(fmt.Sprint("k:", i), 0, int64(i), "1")
	}
	x := &Watch{Prefix: "k:", Most: 39}
	w.watch(x)
	if x.Matched() != 40 || len(w.members) > 39 {
		t.Errorf("%d match, %d members were given", x.Matched(), len(w.members))
	}
	w.unwatch(x)
	w.leaveAll()
	x = &Watch{Prefix: "k:", Most: 40}
	w.watch(x)
	if x.Matched() != 40 || len(w.members) != 40 {
		t.Errorf("%d match, %d members were given", x.Matched(), len(w.members))
	}
	w.leaveAll()
}

// The rooms that a client comes back to are joined, there or not.
func TestWatchSince(t *testing.T) {
	m, _ := newWatchTable(t, 4)
	w := newWatching(m)
	m.join(w.l, "a:1")
	for i := range 5 {
		m.put("a:1", 0, int64(i), "1")
	}
	at := func(off int64) Positions { return Positions{Epoch: "e1", Offsets: []Pos{{0, off}}} }
	x := &Watch{Prefix: "a:",
		Since: map[string]Positions{"a:1": at(2), "a:2": at(4), "a:3": at(1), "a:4": {Epoch: "e0"}}}
	w.watch(x)
	for i, want := range []string{"a:1 false", "a:2 false", "a:3 true", "a:4 lost"} {
		s := w.members[i]
		got := s.Name + " old"
		if s.Resume != nil {
			got = fmt.Sprint(s.Name, " ", s.Resume.Recall)
			if s.Resume.Lost != "" {
				got = s.Name + " lost"
			}
		}
		if got != want {
			t.Errorf("member %d is %q, want %q", i, got, want)
		}
	}
	if x.Matched() != 4 {
		t.Errorf("%d match", x.Matched())
	}
	m.put("a:2", 0, 5, "1")
	if got := w.took(); got != `a:2@0{"epoch":"e1","0":4}*1` {
		t.Errorf("got %q", got)
	}
	w.leaveAll()
}

func TestWatchWhenStopped(t *testing.T) {
	m, _ := newWatchTable(t, 2)
	m.Start()
	m.Stop()
	done := false
	x := &Watch{Prefix: "a:", Pattern: m.cfg.Catalog.wildcards[0]}
	m.Join(m.listen(), &Join{Watches: []*Watch{x}, Done: func(*Join) { done = true }})
	if !done || x.Err() != ErrStopped || len(x.Members()) != 0 {
		t.Errorf("answered %v, %v", done, x.Err())
	}
	m.Unwatch(x)
}

// Ten thousand watches of other rooms cost a room that appears nothing.
func TestManyWatches(t *testing.T) {
	m, _ := newWatchTable(t, 1)
	w := newWatching(m)
	for i := range 10_000 {
		w.watch(&Watch{Prefix: fmt.Sprintf("a:%04d", i)})
	}
	visits := 0
	m.put("a:x", 0, 0, "1") // nobody waits for it
	r := m.join(w.l, "a:00012")[0].Sub.Room()
	m.shards[0].eachWatchSet(r, func(*watchSet) { visits++ })
	m.put("a:00012", 0, 1, "1")
	if got := w.took(); visits != 1 || got != `a:00012@0{"epoch":"e1","0":0}*1` || m.room("a:x") != nil {
		t.Errorf("%d prefixes were visited, found %q", visits, got)
	}
}

// TestWatchBound: of more rooms than a watch may join, no set is built: the walk ends with
// the first that is too many. What others watch is as it was.
func TestWatchBound(t *testing.T) {
	const most = 10
	m, _ := newWatchTable(t, 4)
	w := newWatching(m)
	for i := range 1000 {
		m.put(fmt.Sprintf("k:%d", i), 0, int64(i), "1")
	}
	x := &Watch{Prefix: "k:", Most: most}
	if got := w.watch(x); x.Matched() <= most || x.Matched() > len(m.shards)*(most+1) ||
		strings.Count(got, "k:") > most {
		t.Errorf("%d matched, and it was given %s", x.Matched(), got)
	}
	w.unwatch(x)
	w.leaveAll()
	if prefixes, watches := m.watchesNow(); prefixes != 0 || watches != 0 {
		t.Errorf("%d prefixes and %d watches are left", prefixes, watches)
	}
	for _, s := range m.shards {
		y := &Watch{Pattern: x.Pattern, Prefix: "k:", Most: most}
		if g := s.matching(y); len(g.rooms) != most+1 {
			t.Errorf("shard %d has a set of %d", s.index, len(g.rooms))
		}
		y.matched.Store(most - 2)
		if g := s.matching(y); len(g.rooms) != 3 {
			t.Errorf("shard %d has a set of %d, where others have %d", s.index, len(g.rooms), most-2)
		}
	}
	// Beside one that may have all of them.
	all := &Watch{Prefix: "k:"}
	w.watch(all)
	x = &Watch{Prefix: "k:", Most: most}
	if w.watch(x); x.Matched() <= most || all.Matched() != 1000 {
		t.Errorf("%d and %d matched", x.Matched(), all.Matched())
	}
	w.unwatch(x)
	w.members = nil
	m.put("k:new", 0, 1000, "1")
	if got := w.took(); !strings.HasPrefix(got, "k:new@0") || !strings.HasSuffix(got, "*1") {
		t.Errorf("found %q", got)
	}
}
