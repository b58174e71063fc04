package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
)

// measured runs a scenario. It accepts that a busy machine made the bench late.
func measured(t *testing.T, cfg FanoutConfig) (*FanoutResult, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	res, err := Fanout(t.Context(), cfg)
	var invalid *job.InvalidError
	var fault *job.FaultError
	if err != nil && !errors.As(err, &invalid) && !errors.As(err, &fault) {
		t.Fatal(err)
	}
	return res, err
}

func (g *gate) keyed() FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario, cfg.Rooms, cfg.Clients, cfg.Group, cfg.PerRoom = "keyed", []string{"keyed:{key}"}, 21, 4, 10
	return cfg
}

// Each client gets the messages of its group's room, in whatever process it is.
func TestKeyed(t *testing.T) {
	g := newGate(t, "secret")
	res, err := measured(t, g.keyed())
	run := res.Runs[0]
	// Six rooms of 10 msg/s for 1.2 s, to 21 clients.
	if run.Want != 21*12 || run.Unique != run.Want || len(run.Faults) != 0 || run.Offered != 210 ||
		run.Latency.Count != 210 {
		t.Fatalf("%v\n%+v", err, run)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, room := range []string{"keyed:k0", "keyed:k5"} {
		if g.offsets[room] != 12 {
			t.Errorf("%s got %d messages", room, g.offsets[room])
		}
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(),
		"keyed · 21 clients in keyed:{key}, 4 a room · 60 msg/s") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

// A message that is lost, doubled or sent to another room is found. So is one in the envelope
// of another room.
func TestKeyedFaults(t *testing.T) {
	f := func(what string, edit func(c *gateConn, n int64, b []byte) [][]byte, want Run) {
		t.Helper()
		g := newGate(t, "")
		g.edit = edit
		cfg := g.keyed()
		cfg.Clients, cfg.Drain, cfg.Warmup = 8, 300*time.Millisecond, 0
		cfg.Procs, cfg.PerRoom, cfg.InFlight = 1, 20, 1 // one after another: in the order of their numbers
		res, err := measured(t, cfg)
		run := res.Runs[0]
		if run.Lost != want.Lost || run.Doubled != want.Doubled || run.Foreign != want.Foreign || err == nil {
			t.Errorf("%s: lost %d, doubled %d, foreign %d, %v", what, run.Lost, run.Doubled, run.Foreign, err)
		}
	}
	var held []byte
	f("lost", func(c *gateConn, n int64, b []byte) [][]byte {
		if c.n == 3 && n == 7 {
			return nil
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Lost: 1}})
	f("doubled", func(c *gateConn, n int64, b []byte) [][]byte {
		if c.n == 3 && n == 7 {
			return [][]byte{b, b}
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Doubled: 1}})
	f("misrouted", func(c *gateConn, n int64, b []byte) [][]byte { // from group 0 to group 1
		switch {
		case c.n == 0 && n == 6:
			held = b
		case c.n == 1 && n == 7:
			return [][]byte{held, b}
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Foreign: 1}})
	f("in the envelope of another room", func(c *gateConn, n int64, b []byte) [][]byte {
		if c.n == 1 && n == 7 {
			b = []byte(strings.Replace(string(b), "keyed:k1", "keyed:k0", 1))
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Lost: 1, Foreign: 1}})
}

// Groups of one: each client gets its own messages.
func TestPrivate(t *testing.T) {
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Scenario, cfg.Rooms, cfg.Clients, cfg.Group, cfg.PerRoom = "private", []string{"orders:{user}"}, 15, 1, 10
	res, err := measured(t, cfg)
	if run := res.Runs[0]; run.Want != 15*12 || run.Unique != run.Want || len(run.Faults) != 0 {
		t.Fatalf("%v\n%+v", err, run)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if room := "orders:" + job.UserName(14); g.offsets[room] != 12 {
		t.Errorf("%s got %d messages", room, g.offsets[room])
	}
}

// An order that is lost, doubled or given to another user is found, even if its envelope
// names that user.
func TestPrivateFaults(t *testing.T) {
	f := func(what string, edit func(user string, n int64, b []byte) [][]byte, want Run) {
		t.Helper()
		g := newGate(t, "secret")
		g.edit = func(c *gateConn, n int64, b []byte) [][]byte { return edit(c.user, n, b) }
		cfg := g.fanout()
		cfg.Scenario, cfg.Rooms, cfg.Clients, cfg.Group, cfg.PerRoom = "private", []string{"orders:{user}"}, 8, 1, 20
		cfg.Warmup, cfg.Drain = 0, 300*time.Millisecond
		res, err := measured(t, cfg)
		run := res.Runs[0]
		if run.Lost != want.Lost || run.Doubled != want.Doubled || run.Foreign != want.Foreign ||
			len(run.Faults) == 0 || err == nil {
			t.Errorf("%s: lost %d, doubled %d, foreign %d, %v", what, run.Lost, run.Doubled, run.Foreign, err)
		}
	}
	const order = 11 // is user 3's; the next one is user 4's
	f("lost", func(_ string, n int64, b []byte) [][]byte {
		if n == order {
			return nil
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Lost: 1}})
	f("doubled", func(_ string, n int64, b []byte) [][]byte {
		if n == order {
			return [][]byte{b, b}
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Doubled: 1}})
	var held []byte
	misrouted := func(as func(string) string) func(string, int64, []byte) [][]byte {
		return func(user string, n int64, b []byte) [][]byte {
			switch {
			case user == job.UserName(3) && n == order:
				held = b
				return nil
			case user == job.UserName(4) && n == order+1:
				return [][]byte{[]byte(as(string(held))), b}
			}
			return [][]byte{b}
		}
	}
	f("another user's", misrouted(func(s string) string { return s }), Run{Counts: job.Counts{Lost: 1, Foreign: 1}})
	f("another user's, in an envelope made out to this one", misrouted(func(s string) string {
		return strings.Replace(s, job.UserName(3), job.UserName(4), 1)
	}), Run{Counts: job.Counts{Lost: 1, Foreign: 1}})
}
