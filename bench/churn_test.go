package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/rooms/testwait"
)

func (g *gate) churn() FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario = "churn"
	cfg.Churn = &ChurnConfig{Share: 0.5, Rate: 40, Away: 100 * time.Millisecond}
	return cfg
}

// Clients that left are sent nothing, and everything from their return on.
func TestChurn(t *testing.T) {
	for _, resume := range []bool{false, true} {
		g := newGate(t, "secret")
		cfg := g.churn()
		cfg.Churn.Resume = resume
		res, err := measured(t, cfg)
		// On a busy machine the last clients are not back when the window ends, and the bench reports that.
		away := func() bool { return res.Runs[0].Churn.Left != res.Runs[0].Churn.Returned }
		for tries := 0; tries < 4 && away() && errors.As(err, new(*job.InvalidError)); tries++ {
			res, err = measured(t, cfg)
		}
		run := res.Runs[0]
		x := run.Churn
		if x.Clients != 10 || x.Left < 30 || x.Left != x.Returned || x.Left+x.Skipped != 40 ||
			x.Leave.Count != x.Left || x.Return.Count != x.Left || x.After != 0 {
			t.Fatalf("%v, %+v", err, x)
		}
		if len(run.Faults) != 0 || run.Unique+run.Absent != run.Want || resume != (run.Absent == 0) {
			t.Fatalf("resume %v: unique %d, absent %d of %d: %v", resume, run.Unique, run.Absent, run.Want, run.Faults)
		}
		var b strings.Builder
		if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "10 clients left") {
			t.Fatalf("%v\n%s", err, b.String())
		}
	}
}

// A gateway that still sends to clients that have left does not pass, nor one that forgets a
// message after a return.
func TestChurnFaults(t *testing.T) {
	g := newGate(t, "secret")
	g.deaf = true
	res, err := measured(t, g.churn())
	if run := res.Runs[0]; run.Churn.After == 0 || !strings.Contains(strings.Join(run.Faults, ";"),
		"to clients that had left") {
		t.Fatalf("%v, %+v", err, run.Churn)
	}
	g = newGate(t, "secret")
	g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
		if n == 60 && c.user == job.UserName(0) { // there, or sent again when it comes back
			return nil
		}
		return [][]byte{b}
	}
	g.forgets = true
	cfg := g.churn()
	cfg.Churn.Resume, cfg.Drain = true, time.Second
	res, err = measured(t, cfg)
	if run := res.Runs[0]; run.Lost != 1 || run.Unique != run.Want-1 {
		t.Fatalf("%v, lost %d, unique %d of %d", err, run.Lost, run.Unique, run.Want)
	}
}

// Slow clients leave most bytes in their sockets until they may read. A message that is kept
// from them is found.
func TestSlow(t *testing.T) {
	f := func(breaks int64, edit func(c *gateConn, n int64, b []byte) [][]byte) {
		t.Helper()
		g := newGate(t, "secret")
		g.edit = edit
		cfg := g.fanout()
		cfg.Procs, cfg.Clients, cfg.Slow, cfg.SlowRate, cfg.Stalled = 1, 5, 2, 5000, 1
		res, err := measured(t, cfg)
		run := res.Runs[0]
		s := run.Slow
		if s.Clients != 2 || s.Gone != 0 || s.Frames != 2*120-breaks || s.Lost != breaks || s.Breaks != breaks ||
			s.Doubled+s.Late+s.Invalid != 0 {
			t.Fatalf("%v, %+v", err, s)
		}
		if run.Unique != run.Want || (breaks == 0) != (len(run.Faults) == 0) {
			t.Fatalf("%d of %d, %v", run.Unique, run.Want, run.Faults)
		}
	}
	f(0, nil)
	f(1, func(c *gateConn, n int64, b []byte) [][]byte {
		if strings.HasSuffix(c.user, "-57") && n == 60 { // 5 clients, 50 of orders, one stalled: the first slow one
			return nil
		}
		return [][]byte{b}
	})
}

// Slow clients read as much as they may.
func TestSlowRate(t *testing.T) {
	g := newGate(t, "")
	w := startWorker(t, g.job(1, 1000))
	w.ask(job.Order{Op: "connect", Clients: 1, Deadline: machine.MonotonicIn(testwait.Patience)})
	p := pastPlan(time.Second, 100)
	w.ask(job.Order{Op: "run", Timing: p})
	from := machine.MonotonicIn(0)
	w.ask(job.Order{Op: "slow", From: from, To: machine.MonotonicIn(time.Minute), Rate: 50_000})
	shape, _ := job.NewValueShape(1000, "")
	for n := range int64(100) {
		g.send("prices", shape.Make(nil, p.Schedule.Due(n), n))
	}
	got := w.ask(job.Order{Op: "finish", Total: 100, Deadline: machine.MonotonicIn(time.Second)}).Results
	took := float64(machine.MonotonicIn(0)-from) / 1e9 // a busy machine takes longer
	if most := 50_000*took + 10_000; float64(got.Bytes) > most || got.Bytes < 30_000 {
		t.Fatalf("%d bytes in %.2f s", got.Bytes, took)
	}
}
