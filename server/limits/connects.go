package limits

import (
	"net/netip"
	"sync"
	"time"
)

// connects bounds how many clients come a second: of one address, and of all.
type connects struct {
	address, all pace

	mu  sync.Mutex
	sum Bucket // of all
}

// atOnce is how many seconds' worth of what is counted by the second may come at once.
const atOnce = 10

// newRate returns the pace for n a second, and ten times as many at once.
func newRate(n float64) pace {
	return newPace(n, int(min(max(1, atOnce*n), 1<<20)))
}

// Connects counts a client that comes. If there are too many it returns which limit that is, and
// when to come again. A client that is refused does not count.
func (l *Limiter) Connects(from netip.Addr, now int64) (k Kind, wait time.Duration) {
	c := &l.connects
	who := address(from)
	who.kind = payConnects
	if wait = l.budgets.takes(who, c.address, now); wait > 0 {
		return AddressConnects, wait
	}
	if c.all.each == 0 {
		return Connects, 0
	}
	c.mu.Lock()
	wait = c.sum.takes(c.all, now)
	c.mu.Unlock()
	if wait > 0 {
		l.budgets.giveBack(who, c.address.each)
	}
	return Connects, wait
}

// takes counts one, unless that is too much. It returns how long it is too much.
func (b *Bucket) takes(p pace, now int64) time.Duration {
	owed := max(0, int64(*b)-now) + p.each
	if owed > p.burst {
		return time.Duration(owed - p.burst)
	}
	*b = Bucket(now + owed)
	return 0
}

// giveBack takes ns off a debt.
func (b *budgets) giveBack(p payer, ns int64) {
	s, key := b.shard(p)
	s.mu.Lock()
	if owes, known := s.owes[key]; known {
		s.owes[key] = owes - Bucket(ns)
	}
	s.mu.Unlock()
}

// takes counts one against a payer, unless that is too much. It returns how long it is too much.
func (b *budgets) takes(p payer, rule pace, now int64) time.Duration {
	if rule.each == 0 {
		return 0
	}
	s, key := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	owes := s.owes[key]
	wait := owes.takes(rule, now)
	if wait == 0 {
		b.rememberLocked(s, key, int64(owes), now)
	}
	return wait
}
