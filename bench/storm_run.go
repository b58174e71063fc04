package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
)

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
