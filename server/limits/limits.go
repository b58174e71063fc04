package limits

import (
	"fmt"
	"sync/atomic"
	"time"

	"tapecast/loop"
	"tapecast/server/config"
)

// Limiter bounds what all clients take together, and counts what was refused. Any goroutine may use
// it. The engine bounds sockets, from accept on (loop.Config);
// the Limiter only counts connections.
type Limiter struct {
	Conns, Pending atomic.Int64 // connections that open has let in: all, and those not authenticated

	Users     *Accounts
	Guests    *Accounts   // by AnonymousPayer: the same for the addresses of connections without a user
	Anonymous Shares      // connections without a user
	Asking    Shares      // connections whose token must be asked about
	sharing   atomic.Bool // anonymous clients of one address share an account
	rows      rows
	*budgets
	connects connects

	UnknownTiers atomic.Uint64 // tokens that named a tier that there is not

	Requests atomic.Uint64 // messages that were counted against the pace
	Refused  [Kinds]atomic.Uint64
}

// Sharing reports whether the anonymous clients of one address share the budgets and rooms of one user.
// They do where addresses are told apart: where their connections are limited.
func (l *Limiter) Sharing() bool { return l.sharing.Load() }

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
	UserRooms
	Connects
	AddressConnects
	AnonymousAll
	AnonymousAddress
	Bytes
	RecallBytes
	Kinds // how many there are
)

// OfPace maps the loop's paces to limits.
var OfPace = [loop.Paces]Kind{
	loop.PaceControl: Control, loop.PaceFragments: Fragments,
	loop.PaceInflated: Inflated, loop.PaceRecords: Records,
}

// String returns the name of the limit in logs and figures.
func (k Kind) String() string {
	return [...]string{
		"connections", "connections_per_address", "pending", "connections_per_user", "messages_per_second",
		"rooms_per_connection", "wildcards_per_connection", "rooms_per_wildcard", "empty_rooms", "half_open",
		"closing", "tls_waiting",
		"control_frames", "small_fragments", "inflated_messages", "tls_records",
		"request_cost", "waiting_requests", "snapshot_bytes", "bad_tokens_per_second", "incoming", "rooms_per_user",
		"connects_per_second", "connects_per_address",
		"anonymous_connections", "anonymous_connections_per_address",
		"bytes_per_second", "recall_bytes_per_connection",
	}[k]
}

// Sheds reports whether the limit turns clients away, and not just requests for more than any gets, or
// messages that come later.
func (k Kind) Sheds() bool {
	switch k {
	case Rooms, UserRooms, Wildcards, WildcardRooms, EmptyRooms:
		return false
	case Closing: // they are being closed anyway
		return false
	case Bytes: // what an account has paid for: no trouble of the node's
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
	case AnonymousAll:
		return "anonymous.connections"
	case AnonymousAddress:
		return "anonymous.connections_per_address"
	}
	return "limits." + k.String()
}

// New returns the Limiter of a configuration.
func New(cfg *config.Config) *Limiter {
	per := &cfg.Limits
	l := &Limiter{Users: newAccounts(), Guests: newAccounts(), budgets: newBudgets(per),
		connects: connects{address: newRate(per.ConnectsPerAddress), all: newRate(per.ConnectsPerSecond)},
		Asking:   Shares{each: askingEach, free: askingFree}}
	l.SetAnonymous(&cfg.Anonymous)
	if err := l.SetTiers(&cfg.Limits); err != nil {
		panic(fmt.Sprintf("BUG: a configuration that was not checked: %s", err))
	}
	return l
}

// SetAnonymous takes how many anonymous connections there may be. Those that there are stay.
func (l *Limiter) SetAnonymous(cfg *config.Anonymous) {
	a := &l.Anonymous
	a.mu.Lock()
	a.most, a.each = cfg.Connections, cfg.ConnectionsPerAddress
	a.mu.Unlock()
	l.sharing.Store(cfg.ConnectionsPerAddress > 0)
}

// OfSocket maps the engine's bounds to limits.
var OfSocket = [...]Kind{
	loop.LimitConnections: Connections, loop.LimitAddress: Address, loop.LimitHalfOpen: HalfOpen,
	loop.LimitPending: Pending, loop.LimitClosing: Closing, loop.LimitTLSWaiting: TLSWaiting,
	loop.LimitIncoming: Incoming,
}

// Take counts a message in the bucket of a connection. A connection is closed once it is two bursts in
// debt, so one that owes more owes it by the row that there was before: that is forgiven.
func (r *Row) Take(b *Bucket, now int64) Verdict {
	if int64(*b)-now > 2*r.messages.burst {
		*b = Bucket(now)
	}
	return b.take(r.messages, now)
}

// Carry returns the bucket of a connection that comes from another tier: it has used as much of what may
// come at once as it had there, and owes for no longer.
func (r *Row) Carry(b Bucket, from *Row, now int64) Bucket {
	owed, was := int64(b)-now, from.messages.burst
	if owed <= 0 || was == 0 || r == from {
		return b
	}
	return Bucket(now + min(owed, int64(float64(owed)/float64(was)*float64(r.messages.burst))))
}

// Verdict returns the verdict on the message that was counted last.
func (r *Row) Verdict(b Bucket, now int64) Verdict { return b.verdict(r.messages, now) }

// Hit counts a refusal by a limit.
func (l *Limiter) Hit(k Kind) Kind {
	l.Refused[k].Add(1)
	return k
}

// pace says how fast a token bucket fills and what it holds. Both fields are 0 if there is no limit.
type pace struct {
	each  int64 // ns between two messages over a longer time
	burst int64 // ns of them that may come at once
}

func newPace(perSecond float64, burst int) pace {
	if perSecond <= 0 {
		return pace{}
	}
	each := int64(max(1, min(float64(time.Second)/perSecond, float64(time.Hour))))
	return pace{each, each * int64(max(1, min(burst, 1_000_000)))}
}

// Bucket is a token bucket in 8 bytes (the generic cell rate algorithm). It is the time at which
// everything that was sent so far has been paid for, in ns since the handler was made.
type Bucket int64

// Verdict is whether what was counted is allowed.
type Verdict uint8

const (
	OK   Verdict = iota
	Over         // refused
	Far          // refused, and a burst further in debt: the client ignores refusals
)

// take counts one message, also a refused one: a client that continues is noticed.
func (b *Bucket) take(p pace, now int64) Verdict {
	if p.each == 0 {
		return OK
	}
	*b = max(*b, Bucket(now)) + Bucket(p.each)
	return b.verdict(p, now)
}

// verdict returns the verdict on the message that was taken last.
func (b *Bucket) verdict(p pace, now int64) Verdict {
	switch debt := int64(*b) - now; {
	case debt <= p.burst || p.each == 0:
		return OK
	case debt <= 2*p.burst:
		return Over
	}
	return Far
}
