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

// CheckConfig sets a calibration against loads that it has not seen.
type CheckConfig struct {
	Calibrate CalibrateConfig // as it was calibrated
	Seed      uint64          // draws the points
	Inside    int             // points in the calibrated range. 0: 5
	Outside   int             // and up to three times beyond it. 0: 3
}

// CheckResult is what was measured, and what had been said.
type CheckResult struct {
	Scenario string     `json:"scenario"`
	Seed     uint64     `json:"seed"`
	Points   []Point    `json:"points"`
	Inside   int        `json:"inside"` // so many of them, the first
	Said     []Forecast `json:"said"`   // of a machine that is as slow as it was just then
	// Unadjusted is of the machine as it was when it was calibrated.
	Unadjusted []Forecast `json:"unadjusted"`

	model Model
}

// Check draws points at random and measures them.
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

// draw makes the points: clients, rates and sizes each evenly on a logarithmic scale.
// Of those inside one is keyed, where rooms of a hundred are known.
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
	for range c.Outside {
		t := trial{int(math.Min(between(most, 3*most), mostClients(c.Calibrate.Procs))), 1,
			math.Round(between(c.Calibrate.Most, 3*c.Calibrate.Most)), int(between(100, 3*cal.MostSize))}
		out = append(out, c.affordable(t, cal, 3))
	}
	return out
}

// longestPass is how long a pass may be said to take in a point that is drawn, in ms. A
// loop for which it is longer has so little time left that a few hundredths more or
// less of CPU make latency double or half.
const longestPass = 250

// affordable lowers the rate of a point that is more than plan gives to a loop, or hardly
// less, or more messages than so many times what was measured. How much a loop can send
// may not be known: then it is not more than what it did.
func (c *CheckConfig) affordable(t trial, cal *Calibration, times float64) trial {
	bytes := times * cal.MostBytes
	if cal.Model.Visit == 0 {
		bytes = cal.MostBytes
	}
	for {
		f := cal.Model.Predict(Load{Connections: float64(t.clients), Loops: cal.Loops,
			Streams: []Stream{{Rooms: float64(t.groups), Members: float64(t.clients / t.groups), Rate: t.rate,
				Size: float64(t.size)}}})
		if f.Full <= busiest && f.Delivered <= times*cal.MostDelivered && f.Bytes <= bytes && f.Pass < longestPass {
			return t
		}
		t.rate *= 0.8
	}
}

// mostClients is what so many processes hold, here and with the gateway's usual limit.
func mostClients(procs int) float64 {
	return float64(procs) * min(19_000, float64(machine.DescriptorLimit()-machine.SpareDescriptors))
}

// WriteText writes each point beside what was said of it.
func (r *CheckResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("check · seed %d · %d points inside of what was calibrated, %d outside", r.Seed, r.Inside,
		len(r.Points)-r.Inside)
	for i, p := range r.Points {
		if i == r.Inside {
			t.Line("outside")
		}
		p.row(t, &r.model)
	}
	return t.Write(w)
}
