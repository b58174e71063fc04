package bench

import (
	"context"
	"os"
	"strings"
	"time"
)

// Live is what a gateway that serves real clients has been seen to do.
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

// ReadLive looks at a gateway's /metrics: at a URL twice, so long apart; in a file,
// what there is since the gateway began.
func ReadLive(ctx context.Context, from string, apart time.Duration) (*Live, error) {
	if !strings.Contains(from, "://") {
		f, err := os.Open(from)
		if err != nil {
			return nil, inputf("--metrics: %v", err)
		}
		defer f.Close()
		m, err := parseMetrics(f)
		if err != nil {
			return nil, inputf("--metrics %s is not in Prometheus' text format: %v", from, err)
		}
		if m[metricUptime] <= 0 {
			return nil, inputf("--metrics %s has no %s: is it a gateway's /metrics?", from, metricUptime)
		}
		return newLive(Metrics{}, m, m[metricUptime]), nil
	}
	s := newScraper(adminPort{url: strings.TrimSuffix(strings.TrimSuffix(from, "/"), "/metrics")})
	s.flag = "--metrics"
	a, err := s.scrape(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, apart); err != nil {
		return nil, err
	}
	b, err := s.midRun(ctx)
	if err != nil {
		return nil, err
	}
	return newLive(a, b, apart.Seconds()), nil
}

func newLive(a, b Metrics, seconds float64) *Live {
	grew := func(name string) float64 { return b.sum(name) - a.sum(name) }
	return &Live{Seconds: seconds, CPU: grew(metricCPU), Sends: grew(metricSends), Frames: grew(metricFrames), Bytes: grew(metricBytes), Records: grew(metricRecords),
		Connections: b.sum(metricConnections), Resident: b[metricRSS], Tapes: b.sum(metricTapes)}
}

// A gateway must do so much before it says something of what work costs.
const (
	leastCores       = 0.1
	leastConnections = 1000
)

// Correct has a calibration follow a gateway that runs, and says what it changed: CPU
// and memory there are what they are, whatever machine was calibrated.
func (c *Calibration) Correct(l *Live) []string {
	m := &c.Model
	var said []string
	cores := l.CPU / l.Seconds
	warm, _ := m.sending(l.Connections / max(c.Loops, 1))
	model := m.Base + l.Connections*m.Idle + (l.Sends*warm+l.Frames*m.Frame+l.Bytes*m.Byte+l.Sends*m.long(l.Bytes/max(l.Sends, 1))+l.Records*m.Record)/l.Seconds
	if cores < leastCores {
		said = append(said, "CPU is not corrected: the gateway takes "+number(cores)+" cores, too little to tell")
	} else {
		by := cores / model
		*m = m.slowed(by)
		said = append(said, "CPU is "+number(by)+" times what was calibrated: "+number(cores)+" cores, the model has "+number(model))
	}
	if l.Connections < leastConnections {
		return append(said, "memory is not corrected: "+number(l.Connections)+" connections are too few to tell")
	}
	was := m.Connection
	m.Connection = max(0, l.Resident-m.Resident-l.Tapes*m.Tape) / l.Connections
	return append(said, "a connection takes "+size(m.Connection)+", "+size(was)+" where it was calibrated")
}
