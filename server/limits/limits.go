package limits

import (
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop"
	"tapecast/server/config"
)

// Limiter bounds what clients take together, and counts what was refused. Any goroutine
// may use it. Where a limit is 0 nothing is kept for it. Sockets are bounded by the
// engine, from accept on (loop.Config); here is only how many there are.
type Limiter struct {
	Conns, Pending atomic.Int64 // that open has let in: all, and those not authenticated

	Users counted[string]
	pace  pace
	*budgets

	Requests atomic.Uint64 // messages that were held against the pace
	Refused  [Kinds]atomic.Uint64
}

// Kind says which limit was hit.
type Kind uint8

const (
	Connections Kind = iota
	Address
	Pending
	User
	Messages
	Rooms
	Wildcards
	WildcardRooms
	EmptyRooms
	HalfOpen
	Closing
	TLSWaiting
	Control
	Fragments
	Inflated
	Records
	Cost
	Waiting
	Snapshots
	Tokens
	Incoming
	Kinds // how many there are
)

// OfPace is which limit the loop's pace is.
var OfPace = [loop.Paces]Kind{
	loop.PaceControl: Control, loop.PaceFragments: Fragments,
	loop.PaceInflated: Inflated, loop.PaceRecords: Records,
}

// String is the name of the limit in logs and figures.
func (k Kind) String() string {
	return [...]string{
		"connections", "connections_per_address", "pending", "connections_per_user", "messages_per_second",
		"rooms_per_connection", "wildcards_per_connection", "rooms_per_wildcard", "empty_rooms", "half_open", "closing", "tls_waiting",
		"control_frames", "small_fragments", "inflated_messages", "tls_records",
		"request_cost", "waiting_requests", "snapshot_bytes", "bad_tokens_per_second", "incoming",
	}[k]
}

// Sheds reports whether the limit turns somebody away. The others refuse a single
// request that asks for more than any client may have.
func (k Kind) Sheds() bool {
	switch k {
	case Rooms, Wildcards, WildcardRooms, EmptyRooms:
		return false
	case Closing: // they are being closed anyway
		return false
	}
	return true
}

// Key returns the configuration key that sets the limit.
func (k Kind) Key() string {
	switch k {
	case TLSWaiting:
		return "server.tls.waiting"
	case Incoming:
		return "memory.incoming"
	}
	return "limits." + k.String()
}

// New returns a Limiter of the configuration.
func New(cfg *config.Config) *Limiter {
	l := &Limiter{pace: newPace(cfg.Limits.MessagesPerSecond, cfg.Limits.Burst), budgets: newBudgets(&cfg.Limits)}
	l.Users.max = int32(min(cfg.Limits.ConnectionsPerUser, 1<<30))
	return l
}

// OfSocket are the engine's bounds by our names.
var OfSocket = [...]Kind{
	loop.LimitConnections: Connections, loop.LimitAddress: Address, loop.LimitHalfOpen: HalfOpen,
	loop.LimitPending: Pending, loop.LimitClosing: Closing, loop.LimitTLSWaiting: TLSWaiting,
	loop.LimitIncoming: Incoming,
}

// Take counts a message in a connection's bucket.
func (l *Limiter) Take(b *Bucket, now int64) Verdict { return b.take(l.pace, now) }

// Verdict is that on the message that was counted last.
func (l *Limiter) Verdict(b Bucket, now int64) Verdict { return b.verdict(l.pace, now) }

// Hit counts what a limit refused.
func (l *Limiter) Hit(k Kind) Kind {
	l.Refused[k].Add(1)
	return k
}

// counted counts what each key has. Without a max it keeps nothing.
type counted[K comparable] struct {
	max int32

	mu sync.Mutex
	N  map[K]int32
}

// Take counts one more of a key; false: it has as many as it may.
func (c *counted[K]) Take(k K) bool {
	if c.max <= 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.N[k] >= c.max {
		return false
	}
	if c.N == nil {
		c.N = map[K]int32{}
	}
	c.N[k]++
	return true
}

// Give counts one off again.
func (c *counted[K]) Give(k K) {
	if c.max <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.N[k]--; c.N[k] <= 0 {
		delete(c.N, k)
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

// Bucket is the time, in ns since the handler was made, at which all that was sent so far has
// been paid for (the generic cell rate algorithm): a token bucket in 8 bytes.
type Bucket int64

// Verdict is what becomes of what was counted.
type Verdict uint8

const (
	OK   Verdict = iota
	Over         // refused
	Far          // a burst further in debt: a client that does not listen
)

// take counts one message. What is refused counts as well, so that a client
// that goes on regardless is found out.
func (b *Bucket) take(p pace, now int64) Verdict {
	if p.each == 0 {
		return OK
	}
	*b = max(*b, Bucket(now)) + Bucket(p.each)
	return b.verdict(p, now)
}

// verdict is that on what was taken last.
func (b *Bucket) verdict(p pace, now int64) Verdict {
	switch debt := int64(*b) - now; {
	case debt <= p.burst || p.each == 0:
		return OK
	case debt <= 2*p.burst:
		return Over
	}
	return Far
}
