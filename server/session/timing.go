package session

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

// Timing is a histogram in seconds, with `le` buckets, which histogram_quantile needs.
type Timing struct {
	*metrics.PrometheusHistogram
	Name string
	set  *metrics.Set // of this one
}

func newTiming(name string, bounds ...float64) Timing {
	set := metrics.NewSet()
	return Timing{set.NewPrometheusHistogramExt(name, bounds), name, set}
}

// Write writes its lines in the Prometheus form, without help and type.
func (t Timing) Write(w io.Writer) { t.set.WritePrometheus(w) }
