package bench

import (
	"context"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/publish"
	"tapecast/bench/scrape"
)

// leadTime is how long before the first message workers hear of a run.
const leadTime = 500 * time.Millisecond

// run makes one run: it connects all clients, publishes, and gathers the results.
func (r *fanoutRun) run(ctx context.Context) (*Run, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.stop()
	if r.name == runRawsend {
		if err := r.startRaw(ctx); err != nil {
			return nil, err
		}
	}
	m := runMetrics{scraper: scrape.New(r.end.Admin)}
	var err error
	if m.before, err = m.scraper.Scrape(ctx); err != nil {
		return nil, err
	}
	hand, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := machine.Pause(ctx, r.cfg.settle); err != nil {
		return nil, err
	}
	if m.joined, err = m.scraper.Scrape(ctx); err != nil {
		return nil, err
	}
	run := &Run{Name: r.name, Seen: Seen{Clients: r.cfg.Clients, Handshake: hand.Quantiles()}}
	if err := r.measure(ctx, &m, run); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.stop()
	return run, machine.Pause(ctx, r.cfg.settle) // the next run finds the gateway at rest
}

func (r *fanoutRun) stop() {
	for _, c := range []*pool.Workers{r.readers, r.orders, r.stalled, r.slow, r.filtered} {
		if c != nil {
			c.Stop()
		}
	}
	if r.abuse != nil {
		r.abuse.stop()
	}
	if r.raw != nil {
		r.raw.Stop()
	}
}

type runMetrics struct {
	scraper                         *scrape.Scraper
	before, joined, from, to, after scrape.Metrics
	heapFrom, heapTo                scrape.Metrics // just before and after the window
	own                             float64        // CPU seconds of this process in the window
}

// measure publishes and reads, from the first message to the last.
func (r *fanoutRun) measure(ctx context.Context, m *runMetrics, run *Run) error {
	c := r.cfg
	p, err := r.timing()
	if err != nil {
		return err
	}
	if err := r.readers.Run(p); err != nil {
		return err
	}
	r.follower = &follower{workers: r.readers, scraper: m.scraper, timing: p, every: intervalOf(c.Duration),
		show: r.progress()}
	r.pubs[0].Longest = &r.follower.lag
	jobs, orders, err := r.jobs(ctx, m, p, run)
	if err != nil {
		return err
	}
	done := make(chan error, len(jobs)) // a second error is not read
	for _, j := range jobs {
		go func() { done <- j() }()
	}
	if c.Soak == nil { // a soak asks the readers by itself
		r.follower.start(ctx)
	}
	err = r.watch(ctx, m, p, done, len(jobs))
	if gone := r.follower.stop(); err == nil {
		err = gone
	}
	r.endProgress()
	if err != nil {
		return err
	}
	total := r.pubs[0].Total
	if r.raw != nil {
		total = r.rawOut.Total
		run.Raw = &RawReport{Messages: total, Scheduled: r.pubs[0].Total, Dropped: r.rawOut.Dropped,
			Short: r.rawOut.Short}
	}
	return r.gather(ctx, m, p, total, orders, run)
}

// runOrders starts the run of the clients of orders. Its window is the same as the others'.
func (r *fanoutRun) runOrders(p job.Timing) (publish.Publication, error) {
	pub, err := r.orderPublication(p.Anchor, p.Schedule.Start)
	if err != nil {
		return pub, err
	}
	p.Schedule = pub.Schedule
	p.Warm = p.Schedule.Before(p.From - 1)
	p.More, p.Total = nil, pub.Total
	return pub, r.orders.Run(p)
}

// watch reads the metrics at the edges of the window, and waits for the publishers.
func (r *fanoutRun) watch(ctx context.Context, m *runMetrics, p job.Timing, done <-chan error, jobs int) error {
	until := func(t int64) error {
		for {
			left := time.Duration(t - p.Anchor - machine.MonotonicIn(0))
			if left <= 0 {
				return nil
			}
			select {
			case err := <-done:
				jobs--
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(left):
			}
		}
	}
	err := until(p.From - int64(leadTime))
	if err != nil {
		return err
	}
	if m.heapFrom, err = r.lookAtHeap(ctx, m); err != nil {
		return err
	}
	if err := until(p.From); err != nil {
		return err
	}
	if m.from, err = m.scraper.MidRun(ctx); err != nil {
		return err
	}
	own := machine.CpuTime()
	if err := until(p.To); err != nil {
		return err
	}
	if m.to, err = m.scraper.MidRun(ctx); err != nil {
		return err
	}
	m.own = machine.CpuTime() - own
	if m.heapTo, err = r.lookAtHeap(ctx, m); err != nil {
		return err
	}
	for ; jobs > 0; jobs-- {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lookAtHeap reads the metrics outside the window, since a garbage collection takes CPU time.
func (r *fanoutRun) lookAtHeap(ctx context.Context, m *runMetrics) (scrape.Metrics, error) {
	if r.cfg.GC && r.raw == nil {
		if err := collect(ctx, r.end.Admin); err != nil {
			return nil, err
		}
	}
	return m.scraper.MidRun(ctx)
}

func (r *fanoutRun) publishMain(ctx context.Context, p job.Timing, run *Run) error {
	if r.raw != nil {
		return r.raw.Ask(job.Order{Op: "run", Timing: p, Total: r.pubs[0].Total}, &r.rawOut)
	}
	return r.publish(ctx, &r.pubs[0], r.cfg.Target.Topic, &run.publisher)
}

func (r *fanoutRun) publish(ctx context.Context, pub *publish.Publication, topic string, out *publish.Published) error {
	to, err := r.cfg.Target.sink(ctx, r.end, topic)
	if err != nil {
		return err
	}
	*out, err = pub.Publish(ctx, to)
	return err
}

func (r *fanoutRun) gather(ctx context.Context, m *runMetrics, p job.Timing, total, orders int64, run *Run) error {
	var further []int64
	for _, pub := range r.pubs[1:] {
		further = append(further, pub.Total)
	}
	t, last, err := r.readers.Finish(total, r.cfg.Drain, further...)
	if err != nil {
		return err
	}
	run.ClockError = float64(r.readers.ClockError()) / 1e6
	run.fill(&r.cfg, t, m)
	run.Curve = curve(t.Latency)
	if r.cfg.Soak == nil {
		r.follower.add(last)
		run.Timeline = &r.follower.line
	}
	if t.Storm != nil {
		run.Storm = newStormReport(r.cfg.Storm, t.Storm, r.samples)
	}
	if t.Churn != nil {
		run.Churn = &ChurnReport{ChurnCounts: t.Churn.ChurnCounts, Resumed: r.cfg.Churn.Resume,
			Leave: t.Churn.Leave.Quantiles(), Return: t.Churn.Return.Quantiles()}
	}
	if r.orders != nil {
		o, _, err := r.orders.Finish(orders, r.cfg.Drain)
		if err != nil {
			return err
		}
		run.Orders = newOrdersReport(o, run.ordersPublisher)
	}
	if r.filtered != nil {
		// What they should have got is unknown here.
		f, _, err := r.filtered.Finish(0, 0, make([]int64, len(further))...)
		if err != nil {
			return err
		}
		run.Filtered = &FilteredReport{Clients: f.Clients, Gone: f.Gone, Frames: f.Frames, Wrong: wrongOf(f)}
	}
	// They read again when the stall is over, and have lost what retention dropped.
	afterStall := func(w *pool.Workers) (*job.Tally, []job.Answer, error) {
		left := time.Duration(p.From + int64(r.cfg.StallFor) - p.Anchor - machine.MonotonicIn(0))
		return w.Finish(total, max(left, 0)+5*time.Second, further...)
	}
	if r.slow != nil {
		s, _, err := afterStall(r.slow)
		if err != nil {
			return err
		}
		run.Slow = newSlowReport(r.cfg.SlowRate, s)
	}
	if r.stalled != nil {
		s, _, err := afterStall(r.stalled)
		if err != nil {
			return err
		}
		run.Stalled = newStalledReport(s)
	}
	if m.after, err = m.scraper.MidRun(ctx); err != nil {
		return err
	}
	run.memory(m)
	if r.abuse != nil {
		run.Abuse = r.abuse.report(r.name, r.cfg.Duration.Seconds(), t.Pings, m.after)
	}
	run.judge(r.orders != nil)
	if run.Soak != nil {
		run.Soak.judge(run, r.cfg.Soak.MostGrowth)
	}
	return nil
}
