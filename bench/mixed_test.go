package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/rooms/testwait"
)

func (g *gate) mixed() FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario, cfg.AutoJoin, cfg.Rate = "mixed", true, 20
	cfg.Feeds = []Feed{
		{Name: "symbols", Room: "keyed:{key}", Rate: 200, Streams: 10, Each: 3, Zipf: 1},
		{Name: "own orders", Room: "orders:{user}", Rate: 100, Joined: true},
	}
	return cfg
}

// Every feed has its own numbers, and each client gets all messages of its rooms.
func TestMixed(t *testing.T) {
	g := newGate(t, "secret")
	res, err := measured(t, g.mixed())
	run := res.Runs[0]
	if run.Want != 20*24 || run.Unique != run.Want || len(run.Faults) != 0 || len(run.Feeds) != 2 {
		t.Fatalf("%v\n%+v", err, run)
	}
	symbols, orders := run.Feeds[0], run.Feeds[1]
	// Three of ten symbols, and the popular ones first: more than 3/10 of the messages.
	if symbols.Unique != symbols.Want || symbols.Want < 20*240*4/10 || symbols.Want > 20*240*9/10 ||
		symbols.Latency.Count == 0 {
		t.Fatalf("%+v", symbols)
	}
	if orders.Unique != 120 || orders.Want != 120 || orders.Latency.Count != 100 || orders.Lag.Count != 120 {
		t.Fatalf("%+v", orders)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "own orders") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

// Losses, doubles and strays of one feed are reported for that feed.
func TestMixedFaults(t *testing.T) {
	f := func(want FeedReport, edit func(c *gateConn, n int64, b []byte) [][]byte) {
		t.Helper()
		g := newGate(t, "secret")
		g.edit = edit
		cfg := g.mixed()
		cfg.Procs, cfg.Warmup, cfg.Drain = 1, 0, 300*time.Millisecond
		res, err := measured(t, cfg)
		run := res.Runs[0]
		got := run.Feeds[1]
		if got.Lost != want.Lost || got.Doubled != want.Doubled || got.Foreign != want.Foreign || run.Lost != 0 ||
			run.Feeds[0].Lost != 0 || err == nil {
			t.Errorf("%v: %+v", err, got)
		}
	}
	const order = 2*job.FeedSpan + 25 // user 5's
	f(FeedReport{Counts: job.Counts{Lost: 1}}, func(c *gateConn, n int64, b []byte) [][]byte {
		if n == order {
			return nil
		}
		return [][]byte{b}
	})
	f(FeedReport{Counts: job.Counts{Doubled: 1}}, func(c *gateConn, n int64, b []byte) [][]byte {
		if n == order {
			return [][]byte{b, b}
		}
		return [][]byte{b}
	})
	var held []byte
	f(FeedReport{Counts: job.Counts{Foreign: 1}}, func(c *gateConn, n int64, b []byte) [][]byte {
		switch n {
		case order:
			held = b
		case order + 1:
			return [][]byte{b, held}
		}
		return [][]byte{b}
	})
}

// The ramp ends at the first step with too long a p99, and reports between which steps that is.
func TestRamp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
		if len(g.conns) > 15 { // the clients are too many for it
			testwait.Pause(2 * time.Millisecond) // the ramp is to find this slowness
		}
		return [][]byte{b}
	}
	cfg := RampConfig{Fanout: g.fanout(), Clients: []int{5, 20, 30}, SLO: 250 * time.Millisecond}
	res, err := Ramp(t.Context(), cfg)
	var invalid *job.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if invalid != nil {
		t.Skipf("a busy machine: %v", err)
	}
	if res.Knee != 1 || len(res.Steps) != 2 || res.Steps[0].Failed != "" || res.Steps[1].Failed == "" ||
		res.Steps[1].Clients != 20 {
		t.Fatalf("knee %d of %+v", res.Knee, res.Steps)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "between 5 clients at 100 msg/s and 20") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

func TestRampBadInput(t *testing.T) {
	g := newGate(t, "secret")
	f := func(want string, edit func(*RampConfig)) {
		t.Helper()
		cfg := RampConfig{Fanout: g.fanout(), Rates: []float64{1, 2}, SLO: time.Second}
		edit(&cfg)
		res, err := Ramp(t.Context(), cfg)
		if res != nil && len(res.Steps) > 0 {
			t.Errorf("%d steps were measured before %v", len(res.Steps), err)
		}
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("give either", func(c *RampConfig) { c.Clients = []int{5} })
	f("give either", func(c *RampConfig) { c.Rates = nil })
	f("must be ascending", func(c *RampConfig) { c.Rates = []float64{2, 1} })
	f("--slo", func(c *RampConfig) { c.SLO = 0 })
	f("step 2: --rate: a rate of 2e+09", func(c *RampConfig) { c.Rates = []float64{1, 2e9} })
	f("step 1: --procs 2 is more than --clients 1", func(c *RampConfig) { c.Rates, c.Clients = nil, []int{1, 5} })
	f("connection refused", func(c *RampConfig) { c.Fanout.Target.Admin = "http://127.0.0.1:1" })
	f("step 2: 1000000 clients", func(c *RampConfig) {
		checkLimit(t, &FanoutConfig{Clients: 1_000_000})
		c.Rates, c.Clients, c.Fanout.Procs = nil, []int{5, 1_000_000}, 1
	})
}
