package loop

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"tapecast/rooms"
)

// recallTurn is the longest that a member of a connection with a budget waits until it asks again, for each
// recallTurns members that wait or have waited for something.
const (
	recallTurn  = 100 * time.Millisecond
	recallTurns = 16
)

// recallWait returns how long one of n such members waits, at random: together they would ask the appenders
// many times for each part that is read, and each time at the same moment.
func recallWait(n int) time.Duration { return rand.N(recallTurn * time.Duration(1+n/recallTurns)) }

// errRecallBudget answers a connection that must wait until more is read again for it.
func errRecallBudget(wait time.Duration) error {
	return &rooms.NotNowError{Why: "the connection was given many messages that were read again", RetryAfter: wait}
}

// limitNothing sets the functions for budgets that are not set.
func (c *Config) limitNothing() {
	if c.SnapshotBegins == nil {
		c.SnapshotBegins = func(*Conn, string, int) error { return nil }
	}
	if c.SnapshotSent == nil {
		c.SnapshotSent = func(*Conn, string, int64) {}
	}
	if c.RecallBegins == nil {
		c.RecallBegins = func(*Conn) (time.Duration, bool) { return 0, false }
	}
	if c.RecallGiven == nil {
		c.RecallGiven = func(*Conn, int64) {}
	}
	if c.BytesPerSecond == nil {
		c.BytesPerSecond = func(*Conn) int64 { return 0 }
	}
	if c.Metered == nil {
		c.Metered = func(*Conn) {}
	}
	if c.Limited == nil {
		c.Limited = func(Limit, netip.AddrPort) {}
	}
}
