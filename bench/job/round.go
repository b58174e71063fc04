package job

import "slices"

// Round says of each message of a recording which stream it falls to and when it
// is due. What comes after its end begins it anew. Nobody writes it once it is made.
type Round struct {
	Keys    []string `json:"keys"`    // by stream: its record key
	Streams []int32  `json:"streams"` // of each message
	// of each message, ns since the round began, growing. nil: a Schedule's rate says it
	Due    []int64 `json:"due,omitempty"`
	Period int64   `json:"period,omitempty"` // ns from one round's beginning to the next one's
}

// due is when message n is due, in ns since the first round began.
func (r *Round) due(n int64) int64 {
	size := int64(len(r.Due))
	return n/size*r.Period + r.Due[n%size]
}

// before returns how many messages are due at t, in ns since the first round began, or before.
func (r *Round) before(t int64) int64 {
	k := t / r.Period
	part, _ := slices.BinarySearch(r.Due, t-k*r.Period+1)
	return k*int64(len(r.Due)) + int64(part)
}

// Busiest is the most messages of a round that are due within one second.
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
