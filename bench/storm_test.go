package bench

import (
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

func (g *gate) storm() FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario, cfg.Duration = "storm", 2*time.Second
	cfg.Storm = &StormConfig{At: 300 * time.Millisecond, Jitters: []time.Duration{0, 400 * time.Millisecond}}
	return cfg
}

// All clients come back, at once or spread. Only what came meanwhile is absent.
func TestStorm(t *testing.T) {
	g := newGate(t, "secret")
	g.refuse = 3
	cfg := g.storm()
	cfg.Storm.Reset = true
	res, err := measured(t, cfg)
	if len(res.Runs) != 2 {
		t.Fatal(err)
	}
	for k, run := range res.Runs {
		s := run.Storm
		if s.Clients != 20 || s.Back != 20 || s.Handshake.Count != 20 || s.Seconds <= 0 || s.Seconds > 30 {
			t.Fatalf("%+v", s)
		}
		if run.Gone != 0 || len(run.Faults) != 0 || run.Unique+run.Absent != run.Want || run.Want != 20*220 {
			t.Fatalf("unique %d, absent %d of %d: %v", run.Unique, run.Absent, run.Want, run.Faults)
		}
		if k == 0 && (s.Retries != 3 || s.Seconds < 0.25 || s.Handshake.Max < 250 || run.Absent == 0) {
			t.Errorf("three were refused once: %+v", s)
		}
		if k == 1 && (s.Retries != 0 || s.Jitter != 0.4 || run.Absent < 20*5) {
			t.Errorf("%d absent, %+v", run.Absent, s)
		}
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "20 clients lost their connections") ||
		!strings.Contains(b.String(), "storm over 400ms") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

// A client that resumes misses nothing. If the gateway holds a message back, that is a loss.
func TestStormResumes(t *testing.T) {
	f := func(lost int64, edit func(g *gate)) {
		t.Helper()
		g := newGate(t, "secret")
		cfg := g.storm()
		cfg.Storm.Jitters, cfg.Storm.Resume, cfg.Drain = cfg.Storm.Jitters[1:], true, 500*time.Millisecond
		edit(g)
		res, err := measured(t, cfg)
		run := res.Runs[0]
		if run.Lost != lost || run.Unique != run.Want-lost || run.Absent != 0 || run.Breaks != lost ||
			run.Late+run.Doubled+run.Foreign != 0 {
			t.Fatalf("lost %d, absent %d, breaks %d, unique %d of %d: %v", run.Lost, run.Absent, run.Breaks, run.Unique,
				run.Want, err)
		}
	}
	f(0, func(*gate) {})
	f(1, func(g *gate) {
		g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
			if n == 180 && c.user == job.UserName(7) { // long after all are back
				return nil
			}
			return [][]byte{b}
		}
	})
}

// A client that is never let in again is reported.
func TestStormLosesClients(t *testing.T) {
	out := job.NewStormTally()
	out.Clients, out.Back, out.At, out.Last = 10, 8, 1e9, 3e9
	r := newStormReport(&StormConfig{Jitters: []time.Duration{0}}, out,
		[]sample{{1e9, scrape.Metrics{scrape.MetricCPU: 1}}, {5e9, scrape.Metrics{scrape.MetricCPU: 2}}})
	if r.Seconds != 2 || r.CPUPerClient != 0.5e6/8 {
		t.Fatalf("%+v", r)
	}
	g := &Run{Storm: r}
	g.judge(false)
	if !strings.Contains(strings.Join(g.Faults, ";"), "2 clients did not come back") {
		t.Fatalf("%v", g.Faults)
	}
	r.Late.P99, r.Handshake.P99 = 100, 150
	g.judge(false)
	if !strings.Contains(strings.Join(g.Problems, ";"), "slow to dial") {
		t.Fatalf("%v", g.Problems)
	}
}
