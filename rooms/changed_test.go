package rooms

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWatchChanged: a watch that goes on from a position is told which rooms got something since, and
// their tapes have all of it, or that only the topic knows: as where rooms were removed, or records
// skipped, refused or lost, since the position.
func TestWatchChanged(t *testing.T) {
	told, unsure := map[string]int{}, 0
	for seed := range uint64(12) {
		c := newChanging(t, seed, told)
		c.knowsNothingYet()
		for range 1500 {
			c.step()
		}
		unsure += c.unsure
	}
	t.Logf("told %v, unsure %d times", told, unsure)
	if min(told["a:"], told["a:1"], told["k:"], told["c:"], told["some"], unsure) < 20 {
		t.Error("which shows little")
	}
}

// changing is a table whose rooms come and go, and the positions that each room was given.
type changing struct {
	*watching
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	feed    *Feed
	off     [2]int64         // the last of each partition
	log     map[string][]Pos // by room
	watches []*Watch
	told    map[string]int // how often a watch was told, by prefix; "some": of a room at least
	unsure  int            // how often only the topic knew
}

func newChanging(t *testing.T, seed uint64, told map[string]int) *changing {
	rnd, feed := rand.New(rand.NewPCG(seed, 7)), newOpenFeed(2)
	class := func(c Class) *Class {
		c.RetainAge = 20 * time.Second
		return &c
	}
	m := newManual(t, Config{Shards: 2},
		&Pattern{Match: "all", Class: stream, Feed: feed},
		&Pattern{Match: "a:*", Class: class(Class{Name: "skips"}), Feed: feed},
		&Pattern{Match: "k:*", Class: class(Class{Name: "keeps", Keep: true}), Feed: feed, MaxRooms: 9},
		&Pattern{Match: "c:*",
			Class: class(Class{Name: "conflates", Conflate: true, KeyTTL: 30 * time.Second}), Feed: feed})
	c := &changing{watching: newWatching(m), t: t, seed: seed, rnd: rnd, feed: feed,
		off: [2]int64{int64(rnd.IntN(50)), -1}, told: told}
	m.batch.Progress(feed, 0, c.off[0])
	m.batch.Progress(feed, 1, c.off[1])
	m.send()
	c.log = map[string][]Pos{"k:1": {{0, c.off[0]}}} // which was never read here
	return c
}

// knowsNothingYet asks for what came before the table began to read.
func (c *changing) knowsNothingYet() {
	c.t.Helper()
	early := &Watch{Prefix: "k:", From: &Positions{Epoch: "e1", Offsets: []Pos{{0, c.off[0] - 1}, {1, -1}}}}
	c.watch(early)
	if names, ok := early.Changed(); ok {
		c.t.Fatalf("seed %d: before it began to read it knows %v", c.seed, names)
	}
	c.unwatch(early)
}

func (c *changing) step() {
	c.t.Helper()
	m, rnd := c.m, c.rnd
	part := int32(rnd.IntN(2))
	switch n := rnd.IntN(100); {
	case n == 0:
		m.pass(time.Duration(rnd.IntN(40)) * time.Second)
		m.sweep()
	case n == 1 && rnd.IntN(10) == 0:
		m.batch.Gap(c.feed, part, c.off[part], c.off[part]+3)
		c.off[part] += 3
		m.batch.Progress(c.feed, part, c.off[part])
		m.send()
	case n == 1 && rnd.IntN(10) == 0:
		m.batch.Reset(c.feed, fmt.Sprint("e", rnd.Uint64()), 2)
		m.send()
		c.log, c.off = map[string][]Pos{}, [2]int64{-1, -1}
	case n < 4:
		c.watches = append(c.watches, &Watch{Prefix: []string{"a:", "a:1", "c:"}[rnd.IntN(3)]})
		c.watch(c.watches[len(c.watches)-1])
	case n < 6:
		for _, x := range c.watches {
			c.unwatch(x)
		}
		c.watches = nil
		c.leaveAll()
	case n < 12:
		c.goesOn([]string{"a:", "a:1", "k:", "c:"}[rnd.IntN(4)])
	default:
		c.off[part]++
		room := fmt.Sprintf("%s:%d", []string{"a", "k", "c"}[rnd.IntN(3)], rnd.IntN(12))
		m.put(room, part, c.off[part], "1")
		c.log[room] = append(c.log[room], Pos{part, c.off[part]})
	}
}

// goesOn lets a watch go on from a position, and compares the rooms that it is told, and what
// their tapes have, with the log.
func (c *changing) goesOn(prefix string) {
	c.t.Helper()
	from := Positions{Epoch: c.feed.Epoch()}
	for i := range c.off {
		from.Offsets = append(from.Offsets, Pos{int32(i), max(c.off[i]-int64(c.rnd.IntN(12)), -1)})
	}
	x := &Watch{Prefix: prefix, From: &from}
	c.watch(x)
	names, ok := x.Changed()
	c.unwatch(x)
	if !ok {
		c.unsure++
		return
	}
	if c.told[prefix]++; len(names) > 0 {
		c.told["some"]++
	}
	var want []string
	for room, list := range c.log {
		list = slices.DeleteFunc(slices.Clone(list),
			func(p Pos) bool { return within(from.Offsets, p.Partition, p.Offset) })
		if !strings.HasPrefix(room, prefix) || len(list) == 0 {
			continue
		}
		want = append(want, room)
		if prefix == "c:" {
			continue
		}
		s := c.m.since(room, from)
		if got := c.m.heard(s); s.Resume.Recall || !slices.Equal(got, list) {
			c.t.Fatalf("seed %d, %s from %v: got %v, not %v", c.seed, room, from, got, list)
		}
		c.m.leave(s.Sub)
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		c.t.Fatalf("seed %d, %s from %v: got %v, not %v", c.seed, prefix, from, names, want)
	}
}
