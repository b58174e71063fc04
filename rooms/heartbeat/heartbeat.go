package heartbeat

import "sync/atomic"

// Counter counts the turns of one goroutine. It is odd while a turn is under way.
type Counter struct {
	// Name is the goroutine's, such as "loop 0". It is set before the goroutine runs.
	Name string

	turn atomic.Uint64
	_    [40]byte // heartbeats of two goroutines share no cache line
}

// Begin begins a turn, and ends the one under way.
func (b *Counter) Begin() { b.turn.Store((b.turn.Load() | 1) + 2) }

// End ends the turn: the goroutine sleeps, or waits for another one.
func (b *Counter) End() { b.turn.Store((b.turn.Load() | 1) + 1) }

// Turn returns the number of the turn, and reports whether it is under way. Any
// goroutine may call it.
func (b *Counter) Turn() (n uint64, busy bool) {
	n = b.turn.Load()
	return n, n&1 == 1
}
