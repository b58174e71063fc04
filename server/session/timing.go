package session

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

type timings struct {
	auth Timing // to check one token
	join Timing // from the token to auto_subscribed
}

// Timing is a histogram in seconds, with `le` buckets, the only ones that PromQL's
// histogram_quantile reads.
type Timing struct {
	*metrics.PrometheusHistogram
	Name, Help string
	set        *metrics.Set // of this one
}

func newTimings() timings {
	return timings{
		auth: newTiming("tapecast_auth_seconds", "Time to check one token.", 10e-6, 25e-6, 50e-6, 100e-6, 250e-6,
			500e-6, 1e-3, 5e-3, 25e-3),
		join: newTiming("tapecast_join_seconds", "Time from the token to auto_subscribed.", 100e-6, 250e-6, 500e-6,
			1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5),
	}
}

func newTiming(name, help string, bounds ...float64) Timing {
	set := metrics.NewSet()
	return Timing{set.NewPrometheusHistogramExt(name, bounds), name, help, set}
}

// Write writes its lines in the Prometheus form, without help and type.
func (t Timing) Write(w io.Writer) { t.set.WritePrometheus(w) }
