package job

import (
	"encoding/json"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram: 1 µs to one hour in ns, three digits. All histograms
// share it, so a merge moves no count to another bucket.
const (
	histLowest  = 1_000
	histHighest = 3_600_000_000_000
	histDigits  = 3
)

// Hist counts durations in ns. One goroutine records into it. Workers' histograms are merged.
type Hist struct {
	h    *hdrhistogram.Histogram
	max  int64
	over int64 // longer than an hour: counted, and in max, but in no bucket
}

// NewHist returns an empty histogram.
func NewHist() *Hist {
	return &Hist{h: hdrhistogram.New(histLowest, histHighest, histDigits)}
}

// Record counts one duration.
func (h *Hist) Record(v int64) { h.RecordN(v, 1) }

// RecordN counts n equal durations.
func (h *Hist) RecordN(v, n int64) {
	if v > h.max {
		h.max = v
	}
	if h.h.RecordValues(max(v, 0), n) != nil {
		h.over += n
	}
}

// Count returns how many durations were recorded.
func (h *Hist) Count() int64 { return h.h.TotalCount() + h.over }

// Max returns the longest duration, exactly.
func (h *Hist) Max() int64 { return h.max }

// Quantile returns the duration below which q percent of all lie, at most 0.1 % too long.
func (h *Hist) Quantile(q float64) int64 { return min(h.h.ValueAtQuantile(q), h.max) }

// Merge adds the counts of another histogram; nil: none.
func (h *Hist) Merge(from *Hist) {
	if from == nil {
		return
	}
	if dropped := h.h.Merge(from.h); dropped != 0 {
		panic(fmt.Sprintf("BUG: merging histograms of one shape dropped %d counts", dropped))
	}
	h.max = max(h.max, from.max)
	h.over += from.over
}

// Reset empties the histogram.
func (h *Hist) Reset() {
	h.h.Reset()
	h.max, h.over = 0, 0
}

type histJSON struct {
	Max     int64      `json:"max"`
	Over    int64      `json:"over,omitempty"`
	Buckets [][2]int64 `json:"buckets"` // index, count
}

// MarshalJSON writes the buckets that are not empty, exactly.
func (h *Hist) MarshalJSON() ([]byte, error) {
	j := histJSON{Max: h.max, Over: h.over, Buckets: [][2]int64{}}
	for i, c := range h.h.Export().Counts {
		if c != 0 {
			j.Buckets = append(j.Buckets, [2]int64{int64(i), c})
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Hist) UnmarshalJSON(p []byte) error {
	var j histJSON
	if err := json.Unmarshal(p, &j); err != nil {
		return fmt.Errorf("cannot read histogram: %w", err)
	}
	s := hdrhistogram.New(histLowest, histHighest, histDigits).Export()
	for _, b := range j.Buckets {
		if b[0] < 0 || b[0] >= int64(len(s.Counts)) {
			return fmt.Errorf("cannot read histogram: bucket %d of %d", b[0], len(s.Counts))
		}
		s.Counts[b[0]] = b[1]
	}
	h.h = hdrhistogram.Import(s)
	h.max, h.over = j.Max, j.Over
	return nil
}

// Quantiles are the figures that a report shows, in milliseconds.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Quantiles returns the figures of h, all 0 if h is nil.
func (h *Hist) Quantiles() Quantiles {
	if h == nil {
		return Quantiles{}
	}
	ms := func(ns int64) float64 { return float64(ns) / 1e6 }
	return Quantiles{
		Count: h.Count(),
		P50:   ms(h.Quantile(50)), P90: ms(h.Quantile(90)), P99: ms(h.Quantile(99)), P999: ms(h.Quantile(99.9)),
		Max: ms(h.max),
	}
}

// String returns the figures in one line.
func (q Quantiles) String() string {
	if q.Count == 0 {
		return "none taken"
	}
	return fmt.Sprintf("p50 %s · p90 %s · p99 %s · p99.9 %s · max %s", MS(q.P50), MS(q.P90), MS(q.P99), MS(q.P999),
		MS(q.Max))
}

// MS formats milliseconds with three significant figures.
func MS(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.1f s", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	case v >= 1:
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f µs", v*1000)
}
