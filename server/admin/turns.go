package admin

import (
	"net/http"
	"time"
)

// turnPatience is how long a request waits for its turn.
const turnPatience = 5 * time.Second

// maxRest bounds the rest after a request.
const maxRest = time.Second

// Turns bounds how many requests of a kind run at a time. It also bounds their share of time, with
// a rest after each, since they cost the loops something. Any goroutine may use it.
type Turns struct {
	gate  *Gate
	slots chan time.Time // when the slot may be used again
	rest  int            // in multiples of the time that the request took
	wait  time.Duration
}

// NewTurns returns a Turns that runs that many requests at a time. After each there is a rest: a
// multiple of the time that the request took, and maxRest at most.
func NewTurns(gate *Gate, slots, rest int) *Turns {
	t := &Turns{gate: gate, slots: make(chan time.Time, slots), rest: rest, wait: turnPatience}
	for range slots {
		t.slots <- time.Time{}
	}
	return t
}

// Guard serves requests in turn. A request that would wait too long is refused.
func (t *Turns) Guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var free time.Time
		select {
		case free = <-t.slots:
		case <-time.After(t.wait):
			w.Header().Set("Retry-After", "1")
			t.gate.Refuse(w, r, Busy, http.StatusServiceUnavailable, "%s is busy: ask again later", r.URL.Path)
			return
		case <-r.Context().Done():
			return
		}
		if left := time.Until(free); left > 0 {
			select {
			case <-time.After(left):
			case <-r.Context().Done():
				t.slots <- free
				return
			}
		}
		begun := time.Now()
		defer func() {
			now := time.Now()
			t.slots <- now.Add(min(maxRest, time.Duration(t.rest)*now.Sub(begun)))
		}()
		next(w, r)
	}
}
