package plan

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
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

// Live is what a gateway that serves real clients was observed to do.
type Live struct {
	Seconds     float64 `json:"seconds"`
	CPU         float64 `json:"cpu_s"`
	Sends       float64 `json:"sends"`
	Frames      float64 `json:"frames"`
	Bytes       float64 `json:"bytes"`
	Records     float64 `json:"records"`
	Connections float64 `json:"connections"`
	Resident    float64 `json:"resident"`
	Tapes       float64 `json:"tapes"`
}

const (
	metricBytes       = "tapecast_bytes_sent_total"
	metricConnections = "tapecast_connections"
	metricUptime      = "tapecast_uptime_seconds"
)

// ReadLive reads a gateway's /metrics. A URL is read twice, so far apart. A file is read
// once, and covers the time since the gateway started.
func ReadLive(ctx context.Context, from string, apart time.Duration) (*Live, error) {
	if !strings.Contains(from, "://") {
		f, err := os.Open(from)
		if err != nil {
			return nil, job.Inputf("--metrics: %v", err)
		}
		defer f.Close()
		m, err := scrape.ParseMetrics(f)
		if err != nil {
			return nil, job.Inputf("--metrics %s is not in Prometheus' text format: %v", from, err)
		}
		if m[metricUptime] <= 0 {
			return nil, job.Inputf("--metrics %s has no %s: is it a gateway's /metrics?", from, metricUptime)
		}
		return newLive(scrape.Metrics{}, m, m[metricUptime]), nil
	}
	s := scrape.New(scrape.Port{URL: strings.TrimSuffix(strings.TrimSuffix(from, "/"), "/metrics")})
	s.Flag = "--metrics"
	a, err := s.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	if err := machine.Pause(ctx, apart); err != nil {
		return nil, err
	}
	b, err := s.MidRun(ctx)
	if err != nil {
		return nil, err
	}
	return newLive(a, b, apart.Seconds()), nil
}

func newLive(a, b scrape.Metrics, seconds float64) *Live {
	grew := func(name string) float64 { return b.Sum(name) - a.Sum(name) }
	return &Live{Seconds: seconds, CPU: grew(scrape.MetricCPU), Sends: grew(scrape.MetricSends),
		Frames: grew(scrape.MetricFrames), Bytes: grew(metricBytes), Records: grew(scrape.MetricRecords),
		Connections: b.Sum(metricConnections), Resident: b[scrape.MetricRSS], Tapes: b.Sum(scrape.MetricTapes)}
}

// A gateway must do this much before it shows what work costs.
const (
	leastCores       = 0.1
	leastConnections = 1000
)

// Correct adjusts a calibration to a gateway that serves real clients, and returns what it
// changed. That gateway's CPU and memory count, whatever machine was calibrated.
func (c *Calibration) Correct(l *Live) []string {
	m := &c.Model
	var said []string
	cores := l.CPU / l.Seconds
	warm, _ := m.sending(l.Connections / max(c.Loops, 1))
	model := m.Base + l.Connections*m.Idle +
		(l.Sends*warm+l.Frames*m.Frame+l.Bytes*m.Byte+l.Sends*m.long(l.Bytes/max(l.Sends,
			1))+l.Records*m.Record)/l.Seconds
	if cores < leastCores {
		said = append(said, "CPU is not corrected: the gateway uses only "+text.Number(cores)+" cores")
	} else {
		by := cores / model
		*m = m.slowed(by)
		said = append(said,
			"CPU is "+text.Number(by)+" times what was calibrated: "+text.Number(cores)+" cores measured, predicted "+
				""+text.Number(model))
	}
	if l.Connections < leastConnections {
		return append(said, "memory is not corrected: "+text.Number(l.Connections)+" connections are too few")
	}
	was := m.Connection
	m.Connection = max(0, l.Resident-m.Resident-l.Tapes*m.Tape) / l.Connections
	return append(said, "a connection takes "+text.Size(m.Connection)+"; the calibration has "+text.Size(was))
}
