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
	feed := newOpenFeed(1)
	large := func(k Class) *Class { k.RetainBytes, k.RetainAge, k.Keep = 64<<20, time.Hour, true; return &k }
	m := newManual(t, Config{Budget: budget},
		&Pattern{Match: "prices", Class: large(Class{Name: "market", Conflate: true}), Feed: feed},
		&Pattern{Match: "trades", Class: large(Class{Name: "stream"}), Feed: feed},
		&Pattern{Match: "portfolio:{owner}",
			Class: large(Class{Name: "wallet", Owner: "{sub}", Conflate: true}), Feed: feed},
		&Pattern{Match: "orders:{owner}", Class: large(Class{Name: "private", Owner: "{sub}"}), Feed: feed})
	names := []string{"prices", "trades", "portfolio:1", "orders:1"}
	l := m.listen()
	m.join(l, names...)
	off, value := int64(0), strings.Repeat("1", 1000)
	// write gives each of the rooms one record; 20 records take a millisecond.
	write := func(names []string) {
		for _, name := range names {
			m.put(name, 0, off, value)
			if off++; off%20 == 0 {
				m.pass(time.Millisecond)
			}
		}
		if used := m.used.Load(); used > 2*budget+maxChunk {
			t.Fatalf("%d bytes", used)
		}
	}
	f := func(what string, tails ...bool) {
		t.Helper()
		for i, shed := range tails {
			if r := m.room(names[i]); r.Tail() > 0 != shed {
				t.Errorf("%s: %s begins at %d of %d", what, names[i], r.Tail(), r.Head())
			}
		}
	}
	for m.used.Load() <= budget {
		write(names)
	}
	f("a little over, all of it fresh", false, false, false, false)
	m.pass(2 * time.Second)
	m.shards[0].sweep()
	if used := m.used.Load(); used > budget || m.Stats().Shed == 0 {
		t.Fatalf("%d bytes are left of what is old", used)
	}
	f("a little over, all of it old", true, false, false, false)
	for m.room("trades").Tail() == 0 {
		write(names[1:])
	}
	f("old data gives way to fresh", true, true, false, false)
	for m.room("portfolio:1").Tail() == 0 {
		write(names[2:])
	}
	f("old private data that is conflated goes before the other", true, true, true, false)
	for m.room("orders:1").Tail() == 0 {
		write(names[3:])
	}
	// From here on all is fresh: only twice the budget takes from it.
	m.pass(2 * time.Second)
	from := m.room("orders:1").Head()
	for m.room("orders:1").Tail() <= from {
		write(names)
	}
	if m.used.Load() < 2*budget/16*14 {
		t.Errorf("fresh messages went at %d bytes", m.used.Load())
	}
	kept := func(name string) uint64 { return m.room(name).Head() - m.room(name).Tail() }
	for _, name := range names[:3] {
		if kept(name) > kept("orders:1")/8 {
			t.Errorf("%s keeps %d frames while private ones go, of which %d are left", name,
				kept(name), kept("orders:1"))
		}
	}
}
