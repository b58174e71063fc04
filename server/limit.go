package server

import (
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop"
	"tapecast/server/config"
)

// limiter bounds what clients take together, and counts what was refused. Any goroutine
// may use it. Where a limit is 0 nothing is kept for it. Sockets are bounded by the
// engine, from accept on (loop.Config); here is only how many there are.
type limiter struct {
	conns, pending atomic.Int64 // that open has let in: all, and those not authenticated

	users counted[string]
	pace  pace
	*budgets

	requests atomic.Uint64 // messages that were held against the pace
	refused  [limitKinds]atomic.Uint64
}

// limitKind says which limit was hit.
type limitKind uint8

const (
	limitConnections limitKind = iota
	limitAddress
	limitPending
	limitUser
	limitMessages
	limitRooms
	limitWildcards
	limitWildcardRooms
	limitEmptyRooms
	limitHalfOpen
	limitClosing
	limitTLSWaiting
	limitControl
	limitFragments
	limitInflated
	limitRecords
	limitCost
	limitWaiting
	limitSnapshots
	limitTokens
	limitIncoming
	limitKinds
)

// limitOf is which limit the loop's pace is.
var limitOf = [loop.Paces]limitKind{
	loop.PaceControl: limitControl, loop.PaceFragments: limitFragments,
	loop.PaceInflated: limitInflated, loop.PaceRecords: limitRecords,
}

func (k limitKind) String() string {
	return [...]string{
		"connections", "connections_per_address", "pending", "connections_per_user", "messages_per_second",
		"rooms_per_connection", "wildcards_per_connection", "rooms_per_wildcard", "empty_rooms", "half_open", "closing", "tls_waiting",
		"control_frames", "small_fragments", "inflated_messages", "tls_records",
		"request_cost", "waiting_requests", "snapshot_bytes", "bad_tokens_per_second", "incoming",
	}[k]
}

func newLimiter(cfg *config.Config) *limiter {
	l := &limiter{pace: newPace(cfg.Limits.MessagesPerSecond, cfg.Limits.Burst), budgets: newBudgets(&cfg.Limits)}
	l.users.max = int32(min(cfg.Limits.ConnectionsPerUser, 1<<30))
	return l
}

// ofSockets are the engine's bounds by our names.
var ofSockets = [...]limitKind{
	loop.LimitConnections: limitConnections, loop.LimitAddress: limitAddress, loop.LimitHalfOpen: limitHalfOpen,
	loop.LimitPending: limitPending, loop.LimitClosing: limitClosing, loop.LimitTLSWaiting: limitTLSWaiting,
	loop.LimitIncoming: limitIncoming,
}

func (l *limiter) hit(k limitKind) limitKind {
	l.refused[k].Add(1)
	return k
}

// counted counts what each key has. Without a max it keeps nothing.
type counted[K comparable] struct {
	max int32

	mu sync.Mutex
	n  map[K]int32
}

func (c *counted[K]) take(k K) bool {
	if c.max <= 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[k] >= c.max {
		return false
	}
	if c.n == nil {
		c.n = map[K]int32{}
	}
	c.n[k]++
	return true
}

func (c *counted[K]) give(k K) {
	if c.max <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[k]--; c.n[k] <= 0 {
		delete(c.n, k)
	}
}

// pace is a token bucket's rule; each connection has a bucket of its own. Both
// fields are 0 where there is no limit.
type pace struct {
	each  int64 // ns between two messages sent for long
	burst int64 // ns of them that may come at once
}

func newPace(perSecond float64, burst int) pace {
	if perSecond <= 0 {
		return pace{}
	}
	each := int64(max(1, min(float64(time.Second)/perSecond, float64(time.Hour))))
	return pace{each, each * int64(max(1, min(burst, 1_000_000)))}
}

// bucket is the time, in ns since the handler was made, at which all that was sent so far has
// been paid for (the generic cell rate algorithm): a token bucket in 8 bytes.
type bucket int64

type paceVerdict uint8

const (
	paceOK   paceVerdict = iota
	paceOver             // refused
	paceFar              // a burst further in debt: a client that does not listen
)

// take counts one message. What is refused counts as well, so that a client
// that goes on regardless is found out.
func (b *bucket) take(p pace, now int64) paceVerdict {
	if p.each == 0 {
		return paceOK
	}
	*b = max(*b, bucket(now)) + bucket(p.each)
	return b.verdict(p, now)
}

// verdict is that on what was taken last.
func (b *bucket) verdict(p pace, now int64) paceVerdict {
	switch debt := int64(*b) - now; {
	case debt <= p.burst || p.each == 0:
		return paceOK
	case debt <= 2*p.burst:
		return paceOver
	}
	return paceFar
}
