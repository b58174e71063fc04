package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

// A soak's samples cover the window, and the latencies are complete at the end, although they
// were taken piece by piece.
func TestSoak(t *testing.T) {
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Scenario, cfg.Duration, cfg.Soak = "soak", 4*time.Second, &SoakConfig{Every: time.Second}
	res, err := measured(t, cfg)
	run := res.Runs[0]
	s := run.Soak
	if len(s.Samples) != 4 || run.Unique != run.Want || run.Latency.Count != 20*400 {
		t.Fatalf("%v: %d samples, %d latencies", err, len(s.Samples), run.Latency.Count)
	}
	var n int64
	for k, x := range s.Samples {
		if x.RSS <= 0 || x.Heap < 0 || x.Latency.Count == 0 || math.Abs(x.At-float64(k+1)) > 0.9 {
			t.Fatalf("%+v", x)
		}
		n += x.Latency.Count
	}
	if n > 20*400 || n < 20*300 {
		t.Fatalf("%d latencies in the samples", n)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "an hour resident") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

// A leak has a slope, and more than is allowed is a fault.
func TestSoakGrowth(t *testing.T) {
	var samples []SoakSample
	for k := range 10 {
		samples = append(samples, SoakSample{At: float64(60 * k), RSS: 1e8 + 1e5*float64(k)})
	}
	r := SoakReport{RSSGrowth: slopePerHour(samples, func(s SoakSample) float64 { return s.RSS })}
	if math.Abs(r.RSSGrowth-6e6) > 1 {
		t.Fatalf("%v bytes an hour, not 6e6", r.RSSGrowth)
	}
	f := func(most float64, faults int) {
		t.Helper()
		g := &Run{}
		if r.judge(g, most); len(g.Faults) != faults {
			t.Fatalf("%v", g.Faults)
		}
	}
	f(0, 0)
	f(7e6, 0)
	f(5e6, 1)
}
