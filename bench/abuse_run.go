package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// abuse is what an abuse adds to one leg.
type abuse struct {
	cfg       *AbuseConfig
	hostile   *worker
	sink      *worker // nil: the hostile clients are at the gateway
	newcomers *newcomers
	before    Metrics // just before the hostile clients came
	samples   []float64
	tally     HostileTally
	health    *HealthSeen
}

// startAbuse starts the hostile process, and the sink where it attacks that.
func (r *fanoutRun) startAbuse(ctx context.Context) error {
	c := &r.cfg
	x := &abuse{cfg: c.Abuse}
	r.abuse = x
	job := c.Abuse.job(&c.Target, r.end)
	ordinary := job.peerJob
	if r.name == legSink {
		var a sinkAnswer
		var err error
		if x.sink, err = spawn(ctx, "sink", startLast); err != nil {
			return err
		}
		if err := x.sink.ask(SinkJob{TLS: job.TLS}, &a); err != nil {
			return err
		}
		if a.Err != "" {
			return fmt.Errorf("cannot start a sink: %s", a.Err)
		}
		job.Addr, job.Unknown = a.Addr, true
	}
	var err error
	if x.hostile, err = spawn(ctx, "hostile", startLast); err != nil {
		return err
	}
	var a HostileTally
	if err := x.hostile.ask(job, &a); err != nil {
		return err
	}
	if a.Err != "" {
		return inputf("cannot start hostile clients: %s", a.Err)
	}
	x.newcomers, err = newNewcomers(ordinary, c.Target.Keys, r.end.sources, c.Clients, c.Abuse.Newcomers)
	return err
}

func (x *abuse) stop() {
	for _, w := range []*worker{x.hostile, x.sink} {
		if w != nil {
			w.stop()
		}
	}
}

// order is what the ordinary clients are told of their pings.
func (x *AbuseConfig) order(p plan) order {
	return order{Op: "ping", Ping: &pingOrder{
		From: p.Schedule.Start - p.Anchor, Timed: p.From - p.Anchor, To: p.To - p.Anchor, Every: x.PingEvery,
	}}
}

// sampleEvery is the time between two looks at the gateway's memory.
const sampleEvery = 500 * time.Millisecond

// run has the hostile clients attack while the window lasts, and watches.
func (x *abuse) run(ctx context.Context, s *scraper, admin adminPort, p plan) error {
	from, to := p.From-p.Anchor, p.To-p.Anchor
	if err := pause(ctx, time.Duration(from-monotonicIn(0))-sampleEvery); err != nil {
		return err
	}
	var err error
	if x.before, err = s.midRun(ctx); err != nil {
		return err
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = x.hostile.ask(hostileOrder{From: from, To: to}, &x.tally) })
	wg.Go(func() { errs[1] = x.newcomers.come(ctx, from, to) })
	wg.Go(func() { x.health = watchHealth(ctx, admin, to) })
	wg.Go(func() { x.sampleMemory(ctx, s, to) })
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sampleMemory looks at the gateway's resident memory until the time given. A look
// that fails is none: those at the window's edges say so.
func (x *abuse) sampleMemory(ctx context.Context, s *scraper, until int64) {
	for monotonicIn(0) < until {
		if m, err := s.scrape(ctx); err == nil {
			x.samples = append(x.samples, m[metricRSS])
		}
		if pause(ctx, sampleEvery) != nil {
			return
		}
	}
}
