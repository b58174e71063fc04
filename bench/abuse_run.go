package bench

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"

	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
)

// abuse is what an abuse adds to one run.
type abuse struct {
	cfg       *AbuseConfig
	hostile   *pool.Worker
	sink      *pool.Worker // nil: the hostile clients attack the gateway
	newcomers *newcomers
	before    scrape.Metrics // just before the hostile clients came
	samples   []float64
	tally     hostile.Tally
	health    *HealthSeen
}

// starter begins a process, with the priority of its choice.
type starter = func(*exec.Cmd) error

// startAbuse starts the hostile process, and the sink if that is the target.
func (r *fanoutRun) startAbuse(ctx context.Context) error {
	c := &r.cfg
	x := &abuse{cfg: c.Abuse}
	r.abuse = x
	j := c.Abuse.job(&c.Target, r.end)
	if r.name == runSink {
		var a hostile.SinkAnswer
		var err error
		if x.sink, err = pool.Spawn(ctx, "sink", c.start); err != nil {
			return err
		}
		if err := x.sink.Ask(hostile.SinkJob{TLS: j.TLS}, &a); err != nil {
			return err
		}
		if a.Err != "" {
			return fmt.Errorf("cannot start a sink: %s", a.Err)
		}
		j.Addr, j.Unknown = a.Addr, true
	}
	var err error
	if x.hostile, err = StartHostile(ctx, j, c.start); err != nil {
		return err
	}
	x.newcomers = &newcomers{sign: job.NewSigner(c.Target.Keys), first: c.Clients, rate: c.Abuse.Newcomers,
		latency: job.NewHist(), failed: map[string]int64{}}
	x.newcomers.peer, err = client.New(client.Job{Endpoint: r.end.Endpoint})
	return err
}

// StartHostile starts a process of hostile clients. start begins it.
func StartHostile(ctx context.Context, j hostile.Job, start starter) (*pool.Worker, error) {
	w, err := pool.Spawn(ctx, "hostile", start)
	if err != nil {
		return nil, err
	}
	var a hostile.Tally
	if err = w.Ask(j, &a); err == nil && a.Err != "" {
		err = job.Inputf("cannot start hostile clients: %s", a.Err)
	}
	if err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

func (x *abuse) stop() {
	for _, w := range []*pool.Worker{x.hostile, x.sink} {
		if w != nil {
			w.Stop()
		}
	}
}

func (x *AbuseConfig) order(p job.Timing) job.Order {
	return job.Order{Op: "ping", From: p.Schedule.Start - p.Anchor, Timed: p.From - p.Anchor,
		To: p.To - p.Anchor, Every: x.PingEvery}
}

// sampleEvery is the time between two looks at the gateway's memory.
const sampleEvery = 500 * time.Millisecond

// run makes the hostile clients attack during the window, and watches the gateway.
func (x *abuse) run(ctx context.Context, s *scrape.Scraper, admin scrape.Port, p job.Timing) error {
	from, to := p.From-p.Anchor, p.To-p.Anchor
	if err := machine.Pause(ctx, time.Duration(from-machine.MonotonicIn(0))-sampleEvery); err != nil {
		return err
	}
	var err error
	if x.before, err = s.MidRun(ctx); err != nil {
		return err
	}
	var all errgroup.Group
	all.Go(func() error { return x.hostile.Ask(hostile.Order{From: from, To: to}, &x.tally) })
	all.Go(func() error { return x.newcomers.come(ctx, from, to) })
	all.Go(func() error { x.health = watchHealth(ctx, admin, to); return nil })
	all.Go(func() error { x.sampleMemory(ctx, s, to); return nil })
	return all.Wait()
}

// sampleMemory looks at the gateway's resident memory until a given time. A look that fails
// is skipped: the looks at the window's edges report a gateway that is gone.
func (x *abuse) sampleMemory(ctx context.Context, s *scrape.Scraper, until int64) {
	for machine.MonotonicIn(0) < until {
		if m, err := s.Scrape(ctx); err == nil {
			x.samples = append(x.samples, m[scrape.MetricRSS])
		}
		if machine.Pause(ctx, sampleEvery) != nil {
			return
		}
	}
}
