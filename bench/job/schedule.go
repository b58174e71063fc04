package job

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// Schedule says when each message of a run is due. It is a pure function of the
// message's number, at a constant rate or with the times of a recording. Publisher and
// clients compute the same times, and a late publisher moves none of them.
type Schedule struct {
	// Start is when message 0 is due, in ns since 1970.
	Start int64 `json:"start"`
	// Milli is the rate in messages per 1000 s.
	Milli int64 `json:"milli"`

	mul, div int64  // message n is due n*mul/div ns after Start
	round    *Round // or as a recording has it; it does not cross the pipe. nil: none
}

// MaxMessages is how many messages one run may hold: their numbers have ten digits (value.go).
const MaxMessages = 9_000_000_000

// NewSchedule returns a schedule of perSecond messages a second, rounded to a
// thousandth. It fails if that is less than 0.001 or more than 1e9.
func NewSchedule(start int64, perSecond float64) (Schedule, error) {
	milli := math.Round(perSecond * 1000)
	if !(milli >= 1 && milli <= 1e12) {
		return Schedule{}, fmt.Errorf("a rate of %v messages a second is out of range (0.001 to 1e9)", perSecond)
	}
	s := Schedule{Start: start, Milli: int64(milli)}
	s.Prepare()
	return s, nil
}

// Follow takes the times of a recording, if the recording has any.
func (s *Schedule) Follow(r *Round) {
	if r != nil && r.Due != nil {
		s.round = r
	}
}

// Prepare computes what does not cross the pipe.
func (s *Schedule) Prepare() {
	if s.round != nil {
		return
	}
	const nsPer1000s = 1_000_000_000_000
	g := new(big.Int).GCD(nil, nil, big.NewInt(nsPer1000s), big.NewInt(s.Milli)).Int64()
	s.mul, s.div = nsPer1000s/g, s.Milli/g
}

// Due returns when message n is due, in ns since 1970.
func (s *Schedule) Due(n int64) int64 {
	if s.div == 1 { // any rate that divides 1e9
		return s.Start + n*s.mul
	}
	if s.round != nil {
		return s.Start + s.round.due(n)
	}
	hi, lo := bits.Mul64(uint64(n), uint64(s.mul))
	q, _ := bits.Div64(hi, lo, uint64(s.div))
	return s.Start + int64(q)
}

// Before returns how many messages are due at or before t.
func (s *Schedule) Before(t int64) int64 {
	if t < s.Start {
		return 0
	}
	if s.round != nil {
		return s.round.before(t - s.Start)
	}
	hi, lo := bits.Mul64(uint64(t-s.Start), uint64(s.div))
	q, _ := bits.Div64(hi, lo, uint64(s.mul))
	n := int64(q) // Due rounds down, so the last message due is n or the next one
	for s.Due(n) <= t {
		n++
	}
	for n > 0 && s.Due(n-1) > t {
		n--
	}
	return n
}

// Round gives the stream and the due time of each message of a recording. After its
// end it starts again. It does not change once it is made.
type Round struct {
	Keys    []string `json:"keys"`    // by stream: its record key
	Streams []int32  `json:"streams"` // of each message
	// of each message, ns since the round began, ascending. nil: a Schedule's rate sets the times
	Due    []int64 `json:"due,omitempty"`
	Period int64   `json:"period,omitempty"` // ns from the start of one round to the start of the next
}

// due returns when message n is due, in ns since the first round began.
func (r *Round) due(n int64) int64 {
	size := int64(len(r.Due))
	return n/size*r.Period + r.Due[n%size]
}

// before returns how many messages are due at or before t, in ns since the first round began.
func (r *Round) before(t int64) int64 {
	k := t / r.Period
	part, _ := slices.BinarySearch(r.Due, t-k*r.Period+1)
	return k*int64(len(r.Due)) + int64(part)
}

// Busiest returns the most messages of a round that are due within one second.
func (r *Round) Busiest() int {
	most, from := 0, 0
	for k, at := range r.Due {
		for at-r.Due[from] >= 1e9 {
			from++
		}
		most = max(most, k-from+1)
	}
	return most
}
