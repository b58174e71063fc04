package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// RampConfig is a fanout whose rate or clients grow in steps.
type RampConfig struct {
	Fanout  FanoutConfig  // its Runs, Paired and Baseline are ignored
	Rates   []float64     // messages a second of each step, or
	Clients []int         // clients of each step
	SLO     time.Duration // a step with a longer p99 has failed
	All     bool          // go on after the knee
}

// RampResult is what Ramp measured. Its JSON is for scripts.
type RampResult struct {
	Version  int        `json:"version"`
	Scenario string     `json:"scenario"`
	SLO      float64    `json:"slo_ms"`
	Steps    []RampStep `json:"steps"`
	// Knee is the index of the first step that the gateway did not hold; -1: it held all.
	Knee int `json:"knee"`
}

// RampStep is one step of a ramp.
type RampStep struct {
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"`
	Failed  string  `json:"failed,omitempty"` // why the step is past the knee
	Run     *Run    `json:"leg"`
}

// Ramp measures one step after another, each with new connections, until one fails. With
// All it measures every step. The result may come with an error, as Fanout's does. It is an
// InvalidError if the bench reached its limit before the gateway.
func Ramp(ctx context.Context, cfg RampConfig) (*RampResult, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	res := &RampResult{Version: ResultVersion, Scenario: "ramp", SLO: float64(cfg.SLO) / 1e6, Knee: -1}
	var verdict error
	for k, one := range cfg.steps() {
		text.LogLine(one.Log, "step %d: %d clients, %s msg/s", k+1, one.Clients, text.Number(one.Rate))
		f, err := Fanout(ctx, one)
		if f == nil && k == 0 {
			return nil, err
		} else if f == nil {
			return res, err
		}
		step := RampStep{Clients: f.Clients, Rate: f.Rate, Run: f.Runs[0]}
		step.Failed = cfg.failed(step.Run)
		res.Steps = append(res.Steps, step)
		var invalid *job.InvalidError
		if errors.As(err, &invalid) {
			return res, err // further steps would show no more of the gateway
		}
		if verdict == nil {
			verdict = err
		}
		if step.Failed != "" && res.Knee < 0 {
			res.Knee = k
			if !cfg.All {
				break
			}
		}
	}
	return res, verdict
}

func (c *RampConfig) steps() []FanoutConfig {
	var out []FanoutConfig
	for k := range max(len(c.Rates), len(c.Clients)) {
		one := c.Fanout
		one.Scenario, one.Runs, one.Paired, one.Baseline = "ramp", 1, false, false
		if len(c.Rates) > 0 {
			one.Rate = c.Rates[k]
		} else {
			one.Clients = c.Clients[k]
		}
		out = append(out, one)
	}
	return out
}

// check returns an error if any step cannot be run. Then none is measured.
func (c *RampConfig) check() error {
	switch {
	case (len(c.Rates) == 0) == (len(c.Clients) == 0):
		return job.Inputf("give either --rates or --client-steps")
	case !slices.IsSorted(c.Rates) || !slices.IsSorted(c.Clients):
		return job.Inputf("the steps must be ascending")
	case c.SLO <= 0:
		return job.Inputf("--slo %s: it must be more than 0, the p99 to hold", c.SLO)
	}
	for k, one := range c.steps() {
		if err := one.Validate(); err != nil {
			return job.Inputf("step %d: %v", k+1, err)
		}
	}
	return nil
}

// failed returns what a step did not hold; "": it held everything.
func (c *RampConfig) failed(g *Run) string {
	switch {
	case g.Delivered < keptUp*g.Offered:
		return fmt.Sprintf("delivery fell behind: %.1f %% of what was due in the window",
			text.Percent(g.Delivered, g.Offered))
	case g.Latency.P99 > float64(c.SLO)/1e6:
		return fmt.Sprintf("p99 %s is more than %s", job.MS(g.Latency.P99), c.SLO)
	}
	return ""
}

// WriteText writes the result as a table.
func (r *RampResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("ramp · p99 of %s to hold", job.MS(r.SLO))
	for k, s := range r.Steps {
		g := s.Run
		t.Row(fmt.Sprintf("step %d", k+1),
			"%s clients, %s msg/s · %s/s of %s/s · CPU %.3f µs, %.2f cores · p50 %s p99 %s max %s · lost %s",
			text.Count(int64(s.Clients)), text.Number(s.Rate), text.Count(int64(g.Delivered)),
			text.Count(int64(g.Offered)), g.CPU, g.Cores,
			job.MS(g.Latency.P50), job.MS(g.Latency.P99), job.MS(g.Latency.Max), text.Count(g.Lost))
		wrongRows(t, "  ", g.Faults, g.Problems)
	}
	switch {
	case r.Knee < 0:
		t.Row("knee", "none: all %d steps were held", len(r.Steps))
	case r.Knee == 0:
		t.Row("knee", "not even the first step was held: %s", r.Steps[0].Failed)
	default:
		a, b := r.Steps[r.Knee-1], r.Steps[r.Knee]
		t.Row("knee", "between %s clients at %s msg/s and %s at %s: %s", text.Count(int64(a.Clients)),
			text.Number(a.Rate), text.Count(int64(b.Clients)), text.Number(b.Rate), b.Failed)
	}
	return t.Write(w)
}
