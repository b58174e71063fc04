package bench

import "tapecast/bench/text"

// Medians are the medians of several runs' figures.
type Medians struct {
	Runs        int     `json:"runs"`
	Delivered   float64 `json:"delivered_per_s"`
	Bytes       float64 `json:"bytes_per_s"`
	CPU         float64 `json:"gateway_cpu_us_per_message"`
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	P999        float64 `json:"p999_ms"`
	Max         float64 `json:"max_ms"`
	OrdersP99   float64 `json:"orders_p99_ms,omitempty"`
	OrdersArriv float64 `json:"orders_arrival_p99_ms,omitempty"`
}

func mediansOf(runs []*Run) Medians {
	of := func(f func(*Run) float64) float64 { return text.MedianOf(runs, f) }
	m := Medians{
		Runs:      len(runs),
		Delivered: of(func(g *Run) float64 { return g.Delivered }),
		Bytes:     of(func(g *Run) float64 { return g.Bytes }),
		CPU:       of(func(g *Run) float64 { return g.CPU }),
		P50:       of(func(g *Run) float64 { return g.Latency.P50 }),
		P90:       of(func(g *Run) float64 { return g.Latency.P90 }),
		P99:       of(func(g *Run) float64 { return g.Latency.P99 }),
		P999:      of(func(g *Run) float64 { return g.Latency.P999 }),
		Max:       of(func(g *Run) float64 { return g.Latency.Max }),
	}
	if len(runs) > 0 && runs[0].Orders != nil {
		m.OrdersP99 = of(func(g *Run) float64 { return g.Orders.Latency.P99 })
		m.OrdersArriv = of(func(g *Run) float64 { return g.Orders.Arrival.P99 })
	}
	return m
}
