package main_test

import (
	"math/rand/v2"
	"time"
)

// settled is what a step returns for a guest that is where it shall be in the end.
const settled = -1

// roam calls step for each guest when it is due, on one goroutine and not under mu.
// A step says when the next is due. Once over has passed a step is told that it is
// the end, and roam returns when all are settled.
func (c *crowd) roam(over time.Duration, within time.Duration, step func(g *guest, end bool) time.Duration) {
	c.t.Helper()
	began := time.Now()
	due := make([]time.Time, len(c.guests))
	for i := range due {
		due[i] = began.Add(time.Duration(rand.Int64N(int64(over/4 + 1))))
	}
	for ended := false; ; <-time.After(2 * time.Millisecond) {
		now, left := time.Now(), 0
		if !ended && now.Sub(began) > over {
			ended = true
			clear(due) // nobody waits any longer
		}
		for i, g := range c.guests {
			if ended {
				left++
			}
			if now.Before(due[i]) {
				continue
			}
			if wait := step(g, ended); wait != settled {
				due[i] = now.Add(wait)
			} else if due[i] = now; ended {
				left--
			}
		}
		if ended && left == 0 {
			return
		}
		if now.Sub(began) > over+within {
			c.t.Errorf("%d guests are not back after %s", left, within)
		}
		c.check()
	}
}

// upTo is a random time below d.
func upTo(d time.Duration) time.Duration { return rand.N(d) }
