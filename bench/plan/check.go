package plan

import (
	"context"
	"io"
	"math"
	"math/rand/v2"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/text"
)

// CheckConfig compares a calibration with loads that it has not seen.
type CheckConfig struct {
	Calibrate CalibrateConfig // the configuration of the calibration
	Seed      uint64          // of the random points
	Inside    int             // points in the calibrated range. 0: 5
	Outside   int             // points up to three times beyond it. 0: 3
}

// CheckResult is what was measured, and what was predicted.
type CheckResult struct {
	Scenario string     `json:"scenario"`
	Seed     uint64     `json:"seed"`
	Points   []Point    `json:"points"`
	Inside   int        `json:"inside"` // how many of Points are inside; they come first
	Said     []Forecast `json:"said"`   // for a machine as slow as it was during the point
	// Unadjusted is for the machine as it was during the calibration.
	Unadjusted []Forecast `json:"unadjusted"`

	model Model
}

// Check draws random points and measures them.
func Check(ctx context.Context, cfg CheckConfig, cal *Calibration) (*CheckResult, error) {
	c := &cfg.Calibrate
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e, err := c.Target.Ready(ctx)
	if err != nil {
		return nil, err
	}
	if e.TLS != cal.TLS {
		return nil, job.Inputf("--target %s: the calibration is of a gateway %s TLS", c.Target.URL,
			map[bool]string{true: "with", false: "without"}[cal.TLS])
	}
	res := &CheckResult{Scenario: "check", Seed: cfg.Seed, Inside: max(cfg.Inside, 0), model: cal.Model}
	r := reference{cfg: c, end: e, loops: cal.Loops}
	for i, t := range cfg.draw(cal) {
		text.LogLine(c.Log, "point %d: %s", i+1, t)
		if err := r.measure(ctx, t); err != nil {
			return res, err
		}
	}
	res.Points = r.against(cal.Reference)
	for _, p := range res.Points {
		res.Said, res.Unadjusted = append(res.Said, p.forecast(&cal.Model)),
			append(res.Unadjusted, cal.Model.Predict(p.Load))
	}
	return res, nil
}

// draw returns random points. Clients, rates and sizes are each even on a logarithmic
// scale. One point inside is keyed if rooms of a hundred were calibrated.
func (c *CheckConfig) draw(cal *Calibration) []trial {
	rnd := rand.New(rand.NewPCG(c.Seed, 0))
	between := func(a, b float64) float64 { return a * math.Pow(b/a, rnd.Float64()) }
	var out []trial
	most := float64(c.Calibrate.Clients)
	for i := range c.Inside {
		t := trial{int(between(most/10, most)), 1, math.Round(between(1, c.Calibrate.Most)),
			int(between(100, cal.MostSize))}
		if i == 0 && c.Calibrate.Keyed != "" {
			t.groups, t.rate = t.clients/keyedMembers, math.Round(10*between(0.5, 4))/10
			t.clients = t.groups * keyedMembers
		}
		out = append(out, c.affordable(t, cal, 1))
	}
	// What so many processes hold, here and with the gateway's usual limit.
	held := float64(c.Calibrate.Procs * min(19_000, machine.DescriptorLimit()-machine.SpareDescriptors))
	for range c.Outside {
		t := trial{int(math.Min(between(most, 3*most), held)), 1,
			math.Round(between(c.Calibrate.Most, 3*c.Calibrate.Most)), int(between(100, 3*cal.MostSize))}
		out = append(out, c.affordable(t, cal, 3))
	}
	return out
}

// longestPass is the longest predicted pass, in ms, of a point that is drawn. A loop with
// a longer pass has very little time left. There a few hundredths more or less of CPU
// double latency or halve it.
const longestPass = 250

// affordable lowers a point's rate in two cases: if a loop gets more than a plan would give
// it, or nearly that, or if its messages exceed so many times the measured ones. If the
// most that a loop can send is unknown, it counts as what the loop did send.
func (c *CheckConfig) affordable(t trial, cal *Calibration, times float64) trial {
	bytes := times * cal.MostBytes
	if cal.Model.Visit == 0 {
		bytes = cal.MostBytes
	}
	for {
		l := t.load()
		l.Loops = cal.Loops
		f := cal.Model.Predict(l)
		if f.Full <= busiest && f.Delivered <= times*cal.MostDelivered && f.Bytes <= bytes && f.Pass < longestPass {
			return t
		}
		t.rate *= 0.8
	}
}

// WriteText writes each point beside its forecast.
func (r *CheckResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("check · seed %d · %d points inside the calibrated range, %d outside", r.Seed, r.Inside,
		len(r.Points)-r.Inside)
	for i, p := range r.Points {
		if i == r.Inside {
			t.Line("outside")
		}
		p.row(t, &r.model)
	}
	return t.Write(w)
}
