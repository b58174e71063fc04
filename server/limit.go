package server

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// limiter bounds what clients take together. Any goroutine may use it. Where a
// limit is 0 nothing is kept for it.
type limiter struct {
	maxConns, maxPending int64
	conns, pending       atomic.Int64

	addresses counted[netip.Addr]
	users     counted[string]
	pace      pace

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
	limitKinds
)

func (k limitKind) String() string {
	return [...]string{"connections", "connections_per_address", "pending", "connections_per_user", "messages_per_second", "rooms_per_connection", "wildcards_per_connection", "rooms_per_wildcard"}[k]
}

func newLimiter(cfg *Config) *limiter {
	l := &limiter{
		maxConns:   int64(cfg.MaxConnections()),
		maxPending: int64(cfg.Limits.Pending),
		pace:       newPace(cfg.Limits.MessagesPerSecond, cfg.Limits.Burst),
	}
	l.addresses.max = int32(min(cfg.Limits.ConnectionsPerAddress, 1<<30))
	l.users.max = int32(min(cfg.Limits.ConnectionsPerUser, 1<<30))
	return l
}

// connect counts one more connection, or says which limit forbids it.
func (l *limiter) connect(addr netip.Addr) (hit limitKind, ok bool) {
	if !take(&l.conns, l.maxConns) {
		return l.hit(limitConnections), false
	}
	if !l.addresses.take(network(addr)) {
		l.conns.Add(-1)
		return l.hit(limitAddress), false
	}
	return 0, true
}

// disconnect is connect's reverse.
func (l *limiter) disconnect(addr netip.Addr) {
	l.addresses.give(network(addr))
	l.conns.Add(-1)
}

// wait counts one more connection that has yet to authenticate.
func (l *limiter) wait() bool {
	if !take(&l.pending, l.maxPending) {
		l.hit(limitPending)
		return false
	}
	return true
}

func (l *limiter) hit(k limitKind) limitKind {
	l.refused[k].Add(1)
	return k
}

// take counts one up unless that passes max; 0: no limit.
func take(n *atomic.Int64, max int64) bool {
	if n.Add(1) > max && max > 0 {
		n.Add(-1)
		return false
	}
	return true
}

// network is what an address is counted as: an IPv6 host has a /64 to itself.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		return p.Addr()
	}
	return a
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
	switch debt := int64(*b) - now; {
	case debt <= p.burst:
		return paceOK
	case debt <= 2*p.burst:
		return paceOver
	}
	return paceFar
}
