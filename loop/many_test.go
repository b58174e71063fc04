package loop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
)

// manyRooms are n names under a prefix, joined by commas.
func manyRooms(prefix string, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s:room-%04d", prefix, i)
	}
	return strings.Join(names, ",")
}

// TestManySnapshots: a client that joins 1,000 rooms at once gets the snapshot of each.
func TestManySnapshots(t *testing.T) {
	const n = 1000
	w := newWorld(t, Config{Loops: 1})
	names := manyRooms("last", n)
	for name := range strings.SplitSeq(names, ",") {
		w.publishKey("k", "1", name)
	}
	w.settle()
	c := w.talk()
	c.ask("snap "+names, "snap last:room-0000")
	begun, ended := map[string]bool{}, map[string]bool{}
	for len(ended) < n {
		_, text := c.read()
		_, rest, _ := strings.Cut(text, `"room":"`)
		room, _, _ := strings.Cut(rest, `"`)
		switch {
		case strings.Contains(text, "snapshot_begin"):
			begun[room] = true
		case strings.Contains(text, "snapshot_end"):
			ended[room] = true
		case !begun[room] || ended[room]:
			t.Fatalf("outside of its snapshot: %q", text)
		}
	}
}

// TestManyInSteps: a request for many rooms is done in steps, so that others have their turn
// between two; its reply still comes before any frame of its rooms, or behind all.
func TestManyInSteps(t *testing.T) {
	const n = 1000
	w := newWorld(t, Config{Loops: 1, RoomsPerWildcard: n, Wildcards: 1})
	names := manyRooms("wild", n)
	for name := range strings.SplitSeq(names, ",") {
		w.publish("0", name)
	}
	w.settle()
	c := w.talk()
	l := w.engine.loops[0]
	for _, ask := range []struct{ join, leave string }{{"join " + names, "leave " + names},
		{"join wild:*", "leave wild:*"}} {
		steps := l.watchSteps()
		c.write(1, ask.join)
		w.await(func() bool { return w.engine.Stats().Members > 0 })
		w.publish("1", strings.Split(names, ",")...)
		if got := c.expect("join "); strings.Count(got, "wild:room-") != n {
			t.Errorf("%.20s: %d rooms in the reply", ask.join, strings.Count(got, "wild:room-"))
		}
		for range n {
			c.expect(`{"room":"wild:room-`)
		}
		if got := c.ask("list", "list"); strings.Count(got, "wild:room-") != n {
			t.Errorf("%.20s: %d rooms in the list", ask.join, strings.Count(got, "wild:room-"))
		}
		c.write(1, ask.leave)
		if got := c.expect("leave "); strings.Count(got, "wild:room-") != n {
			t.Errorf("%.20s: %d rooms in the reply", ask.leave, strings.Count(got, "wild:room-"))
		}
		w.publish("2", strings.Split(names, ",")...)
		c.ask("level", "level")
		if most := <-steps(); most > stepRooms {
			t.Errorf("%.20s: a step took or left %d members", ask.join, most)
		}
		w.await(func() bool { return w.engine.Stats().Members == 0 })
	}
}

// watchSteps has the loop count how many members come or go between two turns of its inbox;
// the function that it returns ends that, and says the most.
func (l *Loop) watchSteps() (end func() <-chan int64) {
	var stop atomic.Bool
	most, had := make(chan int64, 1), int64(-1)
	worst := int64(0)
	var look func(*Loop)
	look = func(l *Loop) {
		if had >= 0 {
			worst = max(worst, l.stats.Members-had, had-l.stats.Members)
		}
		had = l.stats.Members
		if stop.Load() {
			most <- worst
			return
		}
		l.post(event{kind: evDo, arg: look})
	}
	l.post(event{kind: evDo, arg: look})
	return func() <-chan int64 { stop.Store(true); return most }
}

// TestManyCutShort: a client that goes in the middle of a join of many rooms leaves
// nothing behind.
func TestManyCutShort(t *testing.T) {
	const n = 1000
	w := newWorld(t, Config{Loops: 1, RoomsPerWildcard: n, Wildcards: 1})
	names := manyRooms("wild", n)
	keeper := w.talk()
	keeper.ask("join "+names, "join")
	w.publish("0", strings.Split(names, ",")...)
	for range n {
		keeper.expect(`{"room":"wild:room-`)
	}
	l := w.engine.loops[0]
	for _, ask := range []string{"join " + names, "join wild:*"} {
		for cut := range n / stepRooms {
			c := w.talk()
			var look func(*Loop)
			look = func(l *Loop) { // hang up as soon as so many steps are done
				if x := l.life.conns[1]; len(x.members) > cut*stepRooms {
					l.life.hangUp(x)
					return
				}
				l.post(event{kind: evDo, arg: look})
			}
			l.post(event{kind: evDo, arg: look})
			c.write(1, ask)
			w.await(func() bool {
				s := w.engine.Stats()
				return s.Connections == 1 && s.Members == n && s.Wildcards == 0
			})
		}
	}
	keeper.conn.Close()
	w.await(func() bool { return w.engine.Stats().Members == 0 && w.table.Stats().Listened == 0 })
}

// TestMemberIndex: members are found, and have their index among the members of their rooms,
// however many there are.
func TestMemberIndex(t *testing.T) {
	w := newWorld(t, Config{Loops: 1})
	names := strings.Split(manyRooms("wild", 3*manyMembers), ",")
	a, b := w.talk(), w.talk()
	var has [2][]string
	check := func() {
		t.Helper()
		done := make(chan string, 1)
		w.engine.loops[0].post(event{kind: evDo, arg: func(l *Loop) {
			for _, c := range l.life.conns {
				for k := range c.members {
					s := &c.members[k]
					if c.find(s.Room().Name()) != k || c.memberIn(s.Sub()) != k {
						done <- fmt.Sprintf("member %d of %d is found as %d", k, len(c.members), c.memberIn(s.Sub()))
						return
					}
					if v, ok := s.Sub().Local.(*audience); ok && v.conns[s.Index] != c {
						done <- fmt.Sprintf("member %d of %d is not at its index %d", k, len(c.members), s.Index)
						return
					}
				}
				if indexed := c.extras != nil && c.extras.index != nil; indexed &&
					len(c.extras.index) != len(c.members) ||
					!indexed && len(c.members) > manyMembers || indexed && len(c.members) < fewMembers {
					done <- fmt.Sprintf("%d members, with an index: %v", len(c.members), indexed)
					return
				}
			}
			done <- ""
		}})
		if why := <-done; why != "" {
			t.Fatal(why)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		i := rng.IntN(2)
		c := []*client{a, b}[i]
		grow := rng.IntN(100) < 30+40*(1-round/100%2)
		var some []string
		for range 1 + rng.IntN(20) {
			some = append(some, names[rng.IntN(len(names))])
		}
		if grow {
			c.ask("join "+strings.Join(some, ","), "join ")
		} else {
			some = append(some, has[i][:min(len(has[i]), 10)]...)
			c.ask("leave "+strings.Join(some, ","), "leave ")
		}
		has[i] = some
		check()
	}
}

// BenchmarkToggle is a client that joins many rooms and leaves them, beside another that
// holds them. loop-µs/room is the loop's time for one room joined and left.
func BenchmarkToggle(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, Config{Loops: 1})
			names := manyRooms("wild", n)
			other := w.talk()
			other.ask("join "+names, "join")
			c := w.talk()
			busy := w.engine.Stats().Busy
			for b.Loop() {
				c.ask("join "+names, "join")
				c.ask("leave "+names, "leave")
			}
			took := w.engine.Stats().Busy - busy
			b.ReportMetric(float64(took.Microseconds())/float64(b.N)/float64(n), "loop-µs/room")
		})
	}
}
