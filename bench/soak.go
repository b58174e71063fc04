package bench

import (
	"context"
	"fmt"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

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
	var t, v, tt, tv float64
	n := float64(len(samples))
	for _, s := range samples {
		x, y := s.At/3600, of(s)
		t, v, tt, tv = t+x, v+y, tt+x*x, tv+x*y
	}
	if d := n*tt - t*t; d > 0 {
		return (n*tv - t*v) / d
	}
	return 0
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
