package rooms

import (
	"strings"
	"testing"
	"time"
)

// TestShedOrder: what was published within the last second stays, up to twice the budget.
// Then it goes, too: market data first, then streams, and private messages last.
func TestShedOrder(t *testing.T) {
	const budget = 4 << 20
	x := newShedding(t, budget)
	for x.used.Load() <= budget {
		x.write(x.names)
	}
	x.begins("a little over, all of it fresh", false, false, false, false)
	x.pass(2 * time.Second)
	x.shards[0].sweep()
	if used := x.used.Load(); used > budget || x.Stats().Shed == 0 {
		t.Fatalf("%d bytes are left of what is old", used)
	}
	x.begins("a little over, all of it old", true, false, false, false)
	for x.room("trades").Tail() == 0 {
		x.write(x.names[1:])
	}
	x.begins("old data gives way to fresh", true, true, false, false)
	for x.room("portfolio:1").Tail() == 0 {
		x.write(x.names[2:])
	}
	x.begins("old private data that is conflated goes before the other", true, true, true, false)
	for x.room("orders:1").Tail() == 0 {
		x.write(x.names[3:])
	}
	// From here on all is fresh: only twice the budget takes from it.
	x.pass(2 * time.Second)
	from := x.room("orders:1").Head()
	for x.room("orders:1").Tail() <= from {
		x.write(x.names)
	}
	if x.used.Load() < 2*budget/16*14 {
		t.Errorf("fresh messages went at %d bytes", x.used.Load())
	}
	kept := func(name string) uint64 { return x.room(name).Head() - x.room(name).Tail() }
	for _, name := range x.names[:3] {
		if kept(name) > kept("orders:1")/8 {
			t.Errorf("%s keeps %d frames while private ones go, of which %d are left", name,
				kept(name), kept("orders:1"))
		}
	}
}

// shedding is one room of each class that gives way before the next one.
type shedding struct {
	*manual
	budget int64
	names  []string
	off    int64
}

func newShedding(t *testing.T, budget int64) *shedding {
	feed := newOpenFeed(1)
	large := func(k Class) *Class { k.RetainBytes, k.RetainAge, k.Keep = 64<<20, time.Hour, true; return &k }
	m := newManual(t, Config{Budget: budget},
		&Pattern{Match: "prices", Class: large(Class{Name: "market", Conflate: true}), Feed: feed},
		&Pattern{Match: "trades", Class: large(Class{Name: "stream"}), Feed: feed},
		&Pattern{Match: "portfolio:{owner}",
			Class: large(Class{Name: "wallet", Owner: "{sub}", Conflate: true}), Feed: feed},
		&Pattern{Match: "orders:{owner}", Class: large(Class{Name: "private", Owner: "{sub}"}), Feed: feed})
	x := &shedding{manual: m, budget: budget, names: []string{"prices", "trades", "portfolio:1", "orders:1"}}
	m.join(m.listen(), x.names...)
	return x
}

// write gives each of the rooms one record; 20 records take a millisecond.
func (x *shedding) write(names []string) {
	x.t.Helper()
	value := strings.Repeat("1", 1000)
	for _, name := range names {
		x.put(name, 0, x.off, value)
		if x.off++; x.off%20 == 0 {
			x.pass(time.Millisecond)
		}
	}
	if used := x.used.Load(); used > 2*x.budget+maxChunk {
		x.t.Fatalf("%d bytes", used)
	}
}

// begins tells which rooms have lost their first messages.
func (x *shedding) begins(what string, tails ...bool) {
	x.t.Helper()
	for i, shed := range tails {
		if r := x.room(x.names[i]); r.Tail() > 0 != shed {
			x.t.Errorf("%s: %s begins at %d of %d", what, x.names[i], r.Tail(), r.Head())
		}
	}
}
