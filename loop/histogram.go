package loop

import (
	"math/bits"

	"tapecast/rooms"
)

// Buckets is how many buckets a Histogram has that end somewhere; one more holds
// what lies above them.
const Buckets = 17

// Histogram counts values in buckets that double. Bucket i is of those up to 1<<i
// times the histogram's unit, and above the bucket before it. It is no more than an
// array: the loop counts in its own, and gives copies away.
type Histogram struct {
	Counts [Buckets + 1]uint64
	Sum    uint64 // of all values
}

// add counts a value of the given unit n times.
func (h *Histogram) add(v, unit, n uint64) {
	i := 0
	if v > unit {
		i = min(bits.Len64((v-1)/unit), Buckets)
	}
	h.Counts[i] += n
	h.Sum += v * n
}

// Count is how many values there were.
func (h *Histogram) Count() (n uint64) {
	for _, k := range h.Counts {
		n += k
	}
	return n
}

func (h *Histogram) merge(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

// Units of a loop's histograms: the bound of the first bucket.
const (
	UnitFrames  = 1
	UnitBytes   = 64
	UnitMembers = 64
	UnitPass    = 100_000 // ns
	UnitAge     = 1       // ms
)

// aged counts how old the first n frames of a piece are. Half of them count as the
// first, and half as the last, so that a loop does not look at each: those between
// came in between. wall is when the slice began, in ms since 1970.
func (s *counts) aged(wall int64, r *rooms.Room, p *rooms.Piece, n int) {
	f := r.Pattern().Feed
	if f == nil || f.Index() < 0 {
		return
	}
	h := &s.Ages[f.Index()]
	s.sawAges = true
	if at := p.Time(0); at > 0 {
		h.add(uint64(max(wall-at, 0)), UnitAge, uint64(n+1)/2)
	}
	if n > 1 {
		if at := p.Time(n - 1); at > 0 {
			h.add(uint64(max(wall-at, 0)), UnitAge, uint64(n)/2)
		}
	}
}
