package server

import "github.com/VictoriaMetrics/metrics"

// timings are the durations that operators ask about, in seconds. The
// histograms have `le` buckets: PromQL's histogram_quantile reads no others.
type timings struct {
	auth *metrics.PrometheusHistogram // to check one token
	join *metrics.PrometheusHistogram // from the token to auto_subscribed
	set  *metrics.Set
}

func newTimings() timings {
	set := metrics.NewSet()
	return timings{
		auth: set.NewPrometheusHistogramExt("tapecast_auth_seconds", []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3}),
		join: set.NewPrometheusHistogramExt("tapecast_join_seconds", []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5}),
		set:  set,
	}
}
