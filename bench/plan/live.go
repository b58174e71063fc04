package plan

import (
	"context"
	"os"
	"strings"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

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
