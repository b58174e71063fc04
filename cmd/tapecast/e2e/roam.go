package e2e

import (
	"math/rand/v2"
	"time"
)

// settled is what a step returns for a guest that is where it must be at the end.
const settled = -1

// roam calls step for each guest when it is due, on one goroutine and not under mu. A step
// returns when the next one is due. After the time over, step is told that it is the end.
// roam returns when all guests are settled.
func (c *crowd) roam(over time.Duration, within time.Duration, step func(g *guest, end bool) time.Duration) {
	c.t.Helper()
	began := time.Now()
	next := make([]time.Time, len(c.guests))
	for i := range next {
		next[i] = began.Add(time.Duration(rand.Int64N(int64(over/4 + 1))))
	}
	left, ended := c.guests, false
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; len(left) > 0; <-tick.C {
		now := time.Now()
		if !ended && now.Sub(began) > over {
			ended = true
			clear(next) // no guest waits any longer
		}
		var still []*guest // guests that are not settled
		for _, g := range left {
			if !now.Before(next[g.n]) {
				wait := step(g, ended)
				if wait == settled && ended { // left alone from here: a step waits for guests that read
					continue
				}
				next[g.n] = now.Add(max(wait, 0))
			}
			still = append(still, g)
		}
		left = still
		if len(left) > 0 && now.Sub(began) > over+within {
			c.t.Errorf("%d guests are not back after %s, user %s for one", len(left), within, left[0].user)
		}
		c.check()
	}
}

// upTo returns a random time below d.
func upTo(d time.Duration) time.Duration { return rand.N(d) }
