package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// ObserveResult is what Observe saw. Its JSON is for scripts.
type ObserveResult struct {
	Scenario string   `json:"scenario"`
	Rooms    []string `json:"rooms"`
	Seconds  float64  `json:"seconds"`
	Seen
	// Freshness is from a message's ts, the time of its record in Kafka in ms, until it was
	// read, in the window. It needs the clocks of producers and of this machine to agree.
	Freshness job.Quantiles `json:"freshness"`
	Messages  int64         `json:"messages"`     // from the start of the warmup to the end
	Early     int64         `json:"early"`        // of those, read before their ts
	Heap      float64       `json:"gateway_heap"` // in use
}

func (c *FanoutConfig) checkObserve() error {
	c.Procs = max(c.Procs, 1, len(c.Target.Agents.Addrs))
	switch {
	case c.Clients < 1 || c.Clients < c.Procs:
		return job.Inputf("--clients %d: at least one is needed, and one for each process", c.Clients)
	case len(c.Rooms) == 0:
		return job.Inputf("--rooms names no room")
	case strings.Contains(strings.Join(c.Rooms, ""), "{key}"):
		return job.Inputf("--rooms %s: only {user} may stand there; use a wildcard to join all rooms of a kind",
			strings.Join(c.Rooms, ","))
	case c.Duration < time.Second || c.Warmup < 0:
		return job.Inputf("--duration %s, --warmup %s: at least one second is needed, and no negative warmup",
			c.Duration, c.Warmup)
	case c.Target.Foreign() || strings.HasPrefix(c.Target.Admin, scrape.PidPrefix):
		return job.Inputf("observe reads a tapecast gateway's messages and metrics: give its internal port with " +
			"--admin")
	}
	return c.Target.CheckDescriptors(c.Clients, c.Procs)
}

// Observe measures a gateway with the traffic that it has. Clients join the config's rooms,
// where wildcards and {user} may stand, and the bench publishes nothing. The result may come
// with an error: a FaultError if messages were missing without notice or frames were torn,
// an InvalidError if no message came or the bench was the bottleneck.
func Observe(ctx context.Context, cfg FanoutConfig) (*ObserveResult, error) {
	if err := cfg.checkObserve(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := cfg.Target.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	s := scrape.New(e.Admin)
	before, err := s.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	j := cfg.clientsJob(e)
	j.Rooms, j.Size, j.Observe = cfg.Rooms, job.MostObserved, true
	workers, err := pool.Start(ctx, j, cfg.Procs)
	if err != nil {
		return nil, err
	}
	defer workers.Stop()
	status, err := Join(ctx, workers, cfg.Clients)
	if err != nil {
		return nil, err
	}
	text.LogLine(cfg.Log, "%d clients joined, observing for %s", status.Joined, cfg.Warmup+cfg.Duration)
	res := &ObserveResult{Scenario: "observe", Rooms: cfg.Rooms, Seconds: cfg.Duration.Seconds(),
		Seen: Seen{Clients: cfg.Clients, Handshake: status.Handshake.Quantiles()}}
	if err := res.watch(ctx, &cfg, workers, s, before); err != nil {
		return nil, err
	}
	return res, res.verdict()
}

func (r *ObserveResult) watch(ctx context.Context, c *FanoutConfig, w *pool.Workers, s *scrape.Scraper,
	before scrape.Metrics) error {
	p := job.Timing{Anchor: machine.Anchor()}
	start := machine.MonotonicIn(leadTime)
	p.From = start + p.Anchor + int64(c.Warmup)
	p.To = p.From + int64(c.Duration)
	var err error
	if p.Schedule, err = job.NewSchedule(start+p.Anchor, 0.001); err != nil { // not used: nothing is due
		return err
	}
	if err := w.Run(p); err != nil {
		return err
	}
	until := func(at int64) (scrape.Metrics, error) {
		if err := machine.Pause(ctx, time.Duration(at-p.Anchor-machine.MonotonicIn(0))); err != nil {
			return nil, err
		}
		return s.MidRun(ctx)
	}
	from, err := until(p.From)
	if err != nil {
		return err
	}
	to, err := until(p.To)
	if err != nil {
		return err
	}
	t, _, err := w.Finish(0, time.Second)
	if err != nil {
		return err
	}
	r.fill(c, t, from, to)
	r.RSSPerConnection = (from[scrape.MetricRSS] - before[scrape.MetricRSS]) / float64(c.Clients)
	return nil
}

func (r *ObserveResult) fill(c *FanoutConfig, t *job.Tally, from, to scrape.Metrics) {
	r.Seen.fill(r.Seconds, c.Procs, t, from, to)
	r.Freshness, r.Messages, r.Early = t.Latency.Quantiles(), t.Frames, t.Early
	r.RSS, r.Heap = to[scrape.MetricRSS], to[scrape.MetricHeap]
	for what, n := range map[string]int64{
		"breaks of the prev chain": r.Breaks, "invalid frames": r.Invalid, "connections lost": int64(r.Gone),
	} {
		if n > 0 {
			r.Faults = append(r.Faults, fmt.Sprintf("%d %s", n, what))
		}
	}
	if r.ClientLag.P99 > mostClientLag && r.Freshness.Count > 0 && 2*r.ClientLag.P99 > r.Freshness.P99 {
		r.Problems = append(r.Problems, fmt.Sprintf(
			"the client processes were slow to read: p99 %.1f ms, half of the freshness or more; "+
				"give them cores, or --procs",
			r.ClientLag.P99))
	}
	if t.WindowFrames == 0 {
		r.Problems = append(r.Problems, "no message came: is anything published to "+strings.Join(c.Rooms, ", ")+"?")
	}
}

func (r *ObserveResult) verdict() error {
	switch {
	case len(r.Faults) > 0:
		return job.Faultf("what was delivered is wrong: %s", joinFew(r.Faults))
	case len(r.Problems) > 0:
		return job.Invalidf("%s", joinFew(r.Problems))
	}
	return nil
}

// WriteText writes the result as a table.
func (r *ObserveResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("observe · %s clients in %s · %s s", text.Count(int64(r.Clients)), strings.Join(r.Rooms, " "),
		text.Number(r.Seconds))
	t.Row("delivered", "%s/s, %s", text.Count(int64(r.Delivered)), text.Size(r.Bytes)+"/s")
	t.Row("freshness", "%s, from the record's time to the read", r.Freshness)
	if r.Early > 0 {
		t.Row("", "%s messages were read before their time: producers' clocks are ahead of this one",
			text.Count(r.Early))
	}
	t.Row("chain", "%s breaks · gap %d · conflated %d · reset %d · error %d", text.Count(r.Breaks),
		r.Notices["gap"], r.Notices["conflated"], r.Notices["reset"], r.Notices["error"])
	t.Row("gateway", "CPU %.3f µs per message · %.2f cores · %s resident, %s per connection",
		r.CPU, r.Cores, text.Size(r.RSS), text.Size(r.RSSPerConnection))
	t.Row("", "heap in use %s, %s over the window", text.Size(r.Heap), text.Signed(r.HeapGrowth))
	t.Row("handshake", "%s", r.Handshake)
	t.Row("bench", "clients asleep %.0f %%, lag p99 %s", 100*r.ClientAsleep, job.MS(r.ClientLag.P99))
	r.wrongRows(t)
	return t.Write(w)
}
