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
		rnd := rand.New(rand.NewPCG(seed, 7))
		feed := newOpenFeed(2)
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
		w := newWatching(m)
		off := [2]int64{int64(rnd.IntN(50)), -1}
		m.batch.Progress(feed, 0, off[0])
		m.batch.Progress(feed, 1, off[1])
		m.send()
		log := map[string][]Pos{"k:1": {{0, off[0]}}} // which was never read here
		early := &Watch{Prefix: "k:", From: &Positions{Epoch: "e1", Offsets: []Pos{{0, off[0] - 1}, {1, -1}}}}
		w.watch(early)
		if names, ok := early.Changed(); ok {
			t.Fatalf("seed %d: before it began to read it knows %v", seed, names)
		}
		w.unwatch(early)
		var watches []*Watch
		for range 1500 {
			part := int32(rnd.IntN(2))
			switch n := rnd.IntN(100); {
			case n == 0:
				m.pass(time.Duration(rnd.IntN(40)) * time.Second)
				m.sweep()
			case n == 1 && rnd.IntN(10) == 0:
				m.batch.Gap(feed, part, off[part], off[part]+3)
				off[part] += 3
				m.batch.Progress(feed, part, off[part])
				m.send()
			case n == 1 && rnd.IntN(10) == 0:
				m.batch.Reset(feed, fmt.Sprint("e", rnd.Uint64()), 2)
				m.send()
				log, off = map[string][]Pos{}, [2]int64{-1, -1}
			case n < 4:
				watches = append(watches, &Watch{Prefix: []string{"a:", "a:1", "c:"}[rnd.IntN(3)]})
				w.watch(watches[len(watches)-1])
			case n < 6:
				for _, x := range watches {
					w.unwatch(x)
				}
				watches = nil
				w.leaveAll()
			case n < 12:
				prefix := []string{"a:", "a:1", "k:", "c:"}[rnd.IntN(4)]
				from := Positions{Epoch: feed.Epoch()}
				for i := range off {
					from.Offsets = append(from.Offsets, Pos{int32(i), max(off[i]-int64(rnd.IntN(12)), -1)})
				}
				x := &Watch{Prefix: prefix, From: &from}
				w.watch(x)
				names, ok := x.Changed()
				w.unwatch(x)
				if !ok {
					unsure++
					break
				}
				if told[prefix]++; len(names) > 0 {
					told["some"]++
				}
				var want []string
				for room, list := range log {
					list = slices.DeleteFunc(slices.Clone(list),
						func(p Pos) bool { return within(from.Offsets, p.Partition, p.Offset) })
					if !strings.HasPrefix(room, prefix) || len(list) == 0 {
						continue
					}
					want = append(want, room)
					if prefix == "c:" {
						continue
					}
					s := m.since(room, from)
					if got := m.heard(s); s.Resume.Recall || !slices.Equal(got, list) {
						t.Fatalf("seed %d, %s from %v: got %v, not %v", seed, room, from, got, list)
					}
					m.leave(s.Sub)
				}
				slices.Sort(names)
				slices.Sort(want)
				if !slices.Equal(names, want) {
					t.Fatalf("seed %d, %s from %v: got %v, not %v", seed, prefix, from, names, want)
				}
			default:
				off[part]++
				room := fmt.Sprintf("%s:%d", []string{"a", "k", "c"}[rnd.IntN(3)], rnd.IntN(12))
				m.put(room, part, off[part], "1")
				log[room] = append(log[room], Pos{part, off[part]})
			}
		}
	}
	t.Logf("told %v, unsure %d times", told, unsure)
	if min(told["a:"], told["a:1"], told["k:"], told["c:"], told["some"], unsure) < 20 {
		t.Error("which shows little")
	}
}
