package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// ChurnConfig makes a share of a fanout's clients leave their rooms and return while messages flow.
type ChurnConfig struct {
	Share  float64       // of the clients, 0 to 1
	Rate   float64       // clients that leave per second
	Away   time.Duration // how long each stays away
	Resume bool          // they resume from where they left, and must miss nothing
}

func (x *ChurnConfig) check(c *FanoutConfig) error {
	n := int(x.Share * float64(c.Clients))
	switch {
	case x.Share < 0 || x.Share > 1 || n < c.Procs:
		return job.Inputf("--share %v: it must be at least one client of each process, and at most 1", x.Share)
	case x.Rate <= 0 || x.Away < 0:
		return job.Inputf("--leaves %v, --away %s: the rate must be more than 0, and the time cannot be negative",
			x.Rate, x.Away)
	case x.Rate*x.Away.Seconds() > float64(n):
		return job.Inputf("--leaves %v a second for %s each are more than the %d clients of --share %v", x.Rate, x.Away,
			n, x.Share)
	case c.AutoJoin || c.Bare || c.Baseline || len(c.Feeds) > 0:
		return job.Inputf("churn needs rooms that clients name themselves, with envelopes: leave out --auto-join, " +
			"--bare and --baseline")
	case x.Resume && !c.Check:
		return job.Inputf("--resume needs --check: clients take their positions from the envelopes")
	}
	return nil
}

func (x *ChurnConfig) order(w *pool.Worker, clients int, p job.Timing) job.Order {
	part := float64(w.Clients) / float64(clients)
	return job.Order{Op: "churn", From: p.From - p.Anchor, To: p.To - p.Anchor,
		Clients: int(x.Share * float64(w.Clients)), Every: time.Duration(1e9 / (x.Rate * part)), Away: x.Away,
		Resume: x.Resume}
}

// ChurnReport is about the clients that left their rooms and came back.
type ChurnReport struct {
	job.ChurnCounts
	Resumed bool          `json:"resumed"`
	Leave   job.Quantiles `json:"leave"`  // from due to leave until confirmed
	Return  job.Quantiles `json:"return"` // from due to return until confirmed
}

func (r *ChurnReport) judge(g *Run) {
	if r.After > 0 {
		g.Faults = append(g.Faults, fmt.Sprintf("%d messages to clients that had left", r.After))
	}
	if n := r.Left - r.Returned; n > 0 {
		g.Faults = append(g.Faults, fmt.Sprintf("%d clients could not join again", n))
	}
}

// StormConfig makes all clients of a fanout lose their connections at once.
type StormConfig struct {
	At time.Duration // after the window began
	// Jitters has one run for each jitter. Each client comes back at a random time within it.
	// nil: one run, with all at once.
	Jitters []time.Duration
	Reset   bool // their connections end with a reset, not with a FIN
	Resume  bool // they resume from their positions, and must miss nothing
}

func (s *StormConfig) each() []StormConfig {
	var all []StormConfig
	for _, j := range s.Jitters {
		one := *s
		one.Jitters = []time.Duration{j}
		all = append(all, one)
	}
	return all
}

func (s *StormConfig) jitter() time.Duration { return s.Jitters[0] }

func (s *StormConfig) name() string {
	if s.jitter() == 0 {
		return "storm"
	}
	return "storm over " + s.jitter().String()
}

func (s *StormConfig) check(c *FanoutConfig) error {
	if len(s.Jitters) == 0 {
		s.Jitters = []time.Duration{0}
	}
	for _, j := range s.Jitters {
		switch {
		case s.At < 0 || j < 0:
			return job.Inputf("--jitter and --at can't be negative")
		case s.At+j >= c.Duration:
			return job.Inputf("a storm after %s, spread over %s, doesn't fit into --duration %s", s.At, j, c.Duration)
		}
	}
	switch {
	case s.Resume && (c.AutoJoin || c.Bare || !c.Check):
		return job.Inputf("--resume needs --check and the positions of envelopes, and cannot be combined with --bare " +
			"or --auto-join")
	case c.Baseline || c.Paired:
		return job.Inputf("a storm cannot be combined with --baseline or --paired")
	}
	return nil
}

// stormPatience is how long clients may take to come back after the jitter.
const stormPatience = time.Minute

func (s *StormConfig) order(p job.Timing) job.Order {
	at := p.From - p.Anchor + int64(s.At)
	return job.Order{Op: "storm", From: at, To: at + int64(s.jitter()+stormPatience), Jitter: s.jitter(),
		Reset: s.Reset, Resume: s.Resume}
}

// StormReport is how clients came back after all had lost their connections.
type StormReport struct {
	Clients   int              `json:"clients"`
	Back      int              `json:"back"`
	Jitter    float64          `json:"jitter_s"`
	Resumed   bool             `json:"resumed"`
	Seconds   float64          `json:"all_back_s"` // from the loss until the last client was in its rooms again
	Handshake job.Quantiles    `json:"handshake"`  // from due to come back until in all rooms, with further attempts
	Late      job.Quantiles    `json:"dialled_late"`
	Retries   int64            `json:"retries"`
	Refused   map[string]int64 `json:"refused,omitempty"`
	// CPUPerClient is what the gateway used meanwhile, in µs, with the delivery of messages.
	CPUPerClient float64 `json:"gateway_cpu_us_per_client"`
}

func newStormReport(s *StormConfig, t *job.StormTally, samples []sample) *StormReport {
	r := &StormReport{
		Clients: t.Clients, Back: t.Back, Jitter: s.jitter().Seconds(), Resumed: s.Resume,
		Seconds:   float64(max(0, t.Last-t.At)) / 1e9,
		Handshake: t.Handshake.Quantiles(), Late: t.Late.Quantiles(), Retries: t.Retries, Refused: t.Refused,
	}
	if t.Back > 0 {
		r.CPUPerClient = (cpuAt(samples, t.Last) - cpuAt(samples, t.At)) * 1e6 / float64(t.Back)
	}
	return r
}

// judge adds what was wrong with a storm, at the gateway and at the bench.
func (r *StormReport) judge(g *Run) {
	if r.Back < r.Clients {
		g.Faults = append(g.Faults, fmt.Sprintf("%d clients did not come back", r.Clients-r.Back))
	}
	if r.Late.P99 > mostClientLag && 2*r.Late.P99 > r.Handshake.P99 {
		g.Problems = append(g.Problems,
			fmt.Sprintf("the clients were slow to dial: p99 %.0f ms, half of the handshakes' p99 or more; give them "+
				"cores, or --procs", r.Late.P99))
	}
}

type sample struct {
	at int64 // CLOCK_MONOTONIC
	m  scrape.Metrics
}

// sampleUntil looks at the gateway at intervals until a given time (monotonic).
func (r *fanoutRun) sampleUntil(ctx context.Context, s *scrape.Scraper, every time.Duration, until int64) error {
	for {
		at := machine.MonotonicIn(0)
		m, err := s.MidRun(ctx)
		if err != nil {
			return err
		}
		r.samples = append(r.samples, sample{at, m})
		if at >= until {
			return nil
		}
		if err := machine.Pause(ctx, every); err != nil {
			return err
		}
	}
}

// cpuAt returns the gateway's CPU time at a moment, interpolated between two samples.
func cpuAt(samples []sample, at int64) float64 {
	k, _ := slices.BinarySearchFunc(samples, at, func(s sample, at int64) int { return cmp.Compare(s.at, at) })
	switch {
	case len(samples) == 0:
		return 0
	case k == 0:
		return samples[0].m[scrape.MetricCPU]
	case k == len(samples):
		return samples[k-1].m[scrape.MetricCPU]
	}
	a, b := samples[k-1], samples[k]
	return a.m[scrape.MetricCPU] + (b.m[scrape.MetricCPU]-a.m[scrape.MetricCPU])*float64(at-a.at)/float64(b.at-a.at)
}

// SoakConfig looks at a long fanout at intervals.
type SoakConfig struct {
	Every time.Duration
	// MostGrowth is how many bytes an hour the gateway's resident memory may grow, as the
	// slope over the samples of the second half. 0: it is only reported.
	MostGrowth float64
}

func (x *SoakConfig) check(c *FanoutConfig) error {
	switch {
	case x.Every < time.Second:
		return job.Inputf("--every %s: at least one second is needed, because a look costs the gateway CPU", x.Every)
	case c.Duration < 4*x.Every:
		return job.Inputf("--duration %s is too short for four looks, one --every %s", c.Duration, x.Every)
	case c.Storm != nil || c.Baseline:
		return job.Inputf("a soak cannot be combined with a storm or --baseline")
	}
	return nil
}

// SoakReport is how a gateway's memory grew over a long run.
type SoakReport struct {
	Every   float64      `json:"every_s"`
	Samples []SoakSample `json:"samples"`
	// Growth is the slope of memory over the second half of the run, in bytes an hour. The
	// first half fills everything that has a bound.
	RSSGrowth  float64 `json:"rss_growth_per_hour"`
	HeapGrowth float64 `json:"heap_growth_per_hour"`
}

// SoakSample is one look: memory at that time, the rest since the look before.
type SoakSample struct {
	At         float64       `json:"at_s"` // since the window began
	RSS        float64       `json:"rss"`
	Heap       float64       `json:"heap_in_use"`
	Goroutines float64       `json:"goroutines"`
	Cores      float64       `json:"cores"`
	Latency    job.Quantiles `json:"latency"`
}

// soak looks at gateway and clients at intervals until the window ends.
func (r *fanoutRun) soak(ctx context.Context, s *scrape.Scraper, p job.Timing, out *SoakReport) error {
	x := r.cfg.Soak
	out.Every = x.Every.Seconds()
	from, to := p.From-p.Anchor, p.To-p.Anchor
	var before sample
	for at := from; at <= to; at += int64(x.Every) {
		if err := machine.Pause(ctx, time.Duration(at-machine.MonotonicIn(0))); err != nil {
			return err
		}
		m, err := s.MidRun(ctx)
		if err != nil {
			return err
		}
		now := sample{machine.MonotonicIn(0), m}
		answers, err := r.readers.TellAll(job.Order{Op: "interval"})
		if err != nil {
			return err
		}
		latency := job.NewHist()
		for _, a := range answers {
			latency.Merge(a.Interval.Latency)
		}
		if before.m != nil {
			out.Samples = append(out.Samples, SoakSample{
				At: float64(now.at-from) / 1e9, RSS: m[scrape.MetricRSS], Heap: m[scrape.MetricHeap],
				Goroutines: m[scrape.MetricGoroutines],
				Cores:      (m[scrape.MetricCPU] - before.m[scrape.MetricCPU]) / (float64(now.at-before.at) / 1e9),
				Latency:    latency.Quantiles(),
			})
		}
		before = now
	}
	half := out.Samples[len(out.Samples)/2:]
	out.RSSGrowth = slopePerHour(half, func(s SoakSample) float64 { return s.RSS })
	out.HeapGrowth = slopePerHour(half, func(s SoakSample) float64 { return s.Heap })
	return nil
}

// slopePerHour returns the slope of the line through the samples (least squares).
func slopePerHour(samples []SoakSample, of func(SoakSample) float64) float64 {
	var hours, values []float64
	for _, s := range samples {
		hours, values = append(hours, s.At/3600), append(values, of(s))
	}
	if len(hours) < 2 {
		return 0
	}
	_, slope := stat.LinearRegression(hours, values, nil, false)
	return slope
}

func (r *SoakReport) judge(g *Run, most float64) {
	if most > 0 && r.RSSGrowth > most {
		g.Faults = append(g.Faults, fmt.Sprintf("resident memory grows by %s an hour, more than %s",
			text.Size(r.RSSGrowth), text.Size(most)))
	}
}

func (r *SoakReport) table(t *text.Table) {
	t.Row("soak", "memory grows by %s an hour resident, %s of heap (second half)", text.Signed(r.RSSGrowth),
		text.Signed(r.HeapGrowth))
	for _, s := range r.Samples {
		t.Row(fmt.Sprintf("  %6.0f s", s.At),
			"%s resident · heap %s · %.0f goroutines · %.2f cores · p50 %s p99 %s max %s", text.Size(s.RSS),
			text.Size(s.Heap), s.Goroutines, s.Cores, job.MS(s.Latency.P50), job.MS(s.Latency.P99),
			job.MS(s.Latency.Max))
	}
}
