package job

import "slices"

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
