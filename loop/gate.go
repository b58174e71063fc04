package loop

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"tapecast/loop/crowd"
)

// Limit names a bound on sockets.
type Limit uint8

// The bounds that Config.Limited is told of.
const (
	LimitConnections Limit = iota // MaxConns: an upgrade was refused with 503
	LimitAddress                  // PerAddress: a socket was refused, with 503 if its request comes in time
	LimitHalfOpen                 // HalfOpen, HalfOpenPerAddress: a half-open socket was dropped
	LimitPending                  // MaxPending: a client that has yet to authenticate was closed
	LimitClosing                  // a socket that was being closed was dropped for a new client
	LimitTLSWaiting               // TLSWaiting: a handshake that waits for its client was dropped
	LimitIncoming                 // MaxIncoming: a client with an incomplete message was closed
)

const (
	// maxSurplus is how many sockets beyond a bound are kept until they are told, by a 503 or a
	// close frame.
	maxSurplus = 64
	// maxFalling is how many dropped sockets may wait for their pollers to close them before
	// accepting stops. Each still takes a descriptor.
	maxFalling = 32
	// tooManyPending is why a client that waits to authenticate is closed for another.
	tooManyPending = "too many connections wait to authenticate"
)

// gate counts sockets by address from accept to close, and decides which one gives way when there
// are too many. Its lock is taken a few times in a connection's life, never for a message.
type gate struct {
	most     int // upgraded
	each     int // of one address
	halfMost int
	halfEach int // of one address
	pendMost int
	tell     func(Limit, netip.AddrPort)
	turned   atomic.Uint64 // dropped while half-open, or refused without an answer
	incoming *incoming     // reads addresses too

	mu        sync.Mutex
	landed    sync.Cond // signalled when falling decreases
	stopped   bool
	addresses map[netip.Addr]int // sockets by address; empty if each is 0
	upgraded  int                // upgraded, and not yet gone
	falling   int                // dropped, and not yet gone

	half    crowd.Crowd[*Conn] // the upgrade has not been granted
	surplus crowd.Crowd[*Conn] // beyond a bound, and to be told
	pending crowd.Crowd[*Conn] // upgraded, and not yet authenticated
	closing crowd.Crowd[*Conn] // upgraded, and being closed
}

// standing is what a connection counts for. gate.mu guards it.
type standing uint8

const (
	stdCounted  standing = 1 << iota // for its address
	stdUpgraded                      // for MaxConns
	stdFalling                       // dropped
	stdGone                          // its descriptor is closed
)

func (g *gate) init(cfg *Config) {
	g.most, g.each, g.pendMost = cfg.MaxConns, cfg.PerAddress, cfg.MaxPending
	g.halfMost, g.halfEach = cfg.HalfOpen, cfg.HalfOpenPerAddress
	g.addresses = map[netip.Addr]int{}
	g.landed.L = &g.mu
	g.tell = cfg.Limited
}

// awaitRoom waits while too many dropped sockets are not closed yet.
func (g *gate) awaitRoom() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.falling >= maxFalling && !g.stopped {
		g.landed.Wait()
	}
}

// stop makes awaitRoom return.
func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	g.landed.Broadcast()
}

// enter counts a socket that was just accepted. If its true address is still to be read, it counts
// as half-open only.
func (g *gate) enter(c *Conn, headed bool) {
	g.mu.Lock()
	var v verdicts
	if headed {
		g.await(c, false, &v)
	} else {
		g.count(c, &v)
	}
	g.carryOut(&v)
}

// count counts a socket for its address, and as half-open. mu is held.
func (g *gate) count(c *Conn, v *verdicts) {
	if g.countAddress(c, v) {
		g.await(c, true, v)
	} else {
		g.overflow(c, v)
	}
}

// countAddress counts a socket for its address. It returns false if the address has too many. mu is
// held.
func (g *gate) countAddress(c *Conn, v *verdicts) bool {
	a := c.network()
	if g.each > 0 && g.addresses[a] >= g.each {
		if old := g.closing.Oldest(a); old != nil {
			g.drop(old, v)
			v.hit(LimitClosing, old)
		}
	}
	if g.each > 0 && g.addresses[a] >= g.each {
		v.hit(LimitAddress, c)
		return false
	}
	if g.each > 0 {
		g.addresses[a]++
		c.standing |= stdCounted
	}
	return true
}

// await counts a socket as half-open. mu is held.
func (g *gate) await(c *Conn, bounded bool, v *verdicts) {
	a := c.network()
	g.half.Add(c, a)
	old, _ := g.half.Greediest()
	switch {
	case bounded && g.halfEach > 0 && g.half.Of(a) > g.halfEach:
		old = g.half.Oldest(a)
	case g.half.Len() <= g.halfMost:
		return
	}
	g.drop(old, v)
	g.turned.Add(1)
	v.hit(LimitHalfOpen, old)
}

// overflow keeps a socket beyond a bound until it is told. mu is held.
func (g *gate) overflow(c *Conn, v *verdicts) {
	g.surplus.Add(c, c.network())
	if g.surplus.Len() > maxSurplus {
		old, _ := g.surplus.Greediest()
		g.drop(old, v)
		g.turned.Add(1)
	}
}

// drop has a socket cut and no longer counts it. mu is held.
func (g *gate) drop(c *Conn, v *verdicts) {
	g.release(c)
	c.standing |= stdFalling
	g.falling++
	v.cut = append(v.cut, c)
}

// release removes a socket from all counts. mu is held.
func (g *gate) release(c *Conn) {
	g.half.Remove(c)
	g.surplus.Remove(c)
	g.pending.Remove(c)
	g.closing.Remove(c)
	g.countOff(c)
	if c.standing&stdCounted != 0 {
		c.standing &^= stdCounted
		a := c.network()
		if g.addresses[a]--; g.addresses[a] == 0 {
			delete(g.addresses, a)
		}
	}
}

func (g *gate) countOff(c *Conn) {
	if c.standing&stdUpgraded != 0 {
		c.standing &^= stdUpgraded
		g.upgraded--
	}
}

// evict drops a half-open socket for a bound that is kept elsewhere.
func (g *gate) evict(c *Conn, l Limit) {
	g.mu.Lock()
	var v verdicts
	if c.standing&(stdFalling|stdGone) == 0 {
		g.drop(c, &v)
		g.turned.Add(1)
		v.hit(l, c)
	}
	g.carryOut(&v)
}

// admit counts a client for MaxConns. It returns false if the client is refused.
func (g *gate) admit(c *Conn) bool {
	g.mu.Lock()
	var v verdicts
	defer g.carryOut(&v)
	if c.standing&stdFalling != 0 || g.surplus.Has(c) {
		return false
	}
	if g.most > 0 && g.upgraded >= g.most && !g.makeRoom(c, &v) {
		v.hit(LimitConnections, c)
		return false
	}
	g.half.Remove(c)
	g.upgraded++
	c.standing |= stdUpgraded
	return true
}

// makeRoom ends a client so that another can be admitted. It takes one that is being closed, or
// else one that has yet to authenticate, of an address with more of those. mu is held.
func (g *gate) makeRoom(c *Conn, v *verdicts) bool {
	if old, _ := g.closing.Greediest(); old != nil {
		g.drop(old, v)
		v.hit(LimitClosing, old)
		return true
	}
	old := g.pushes(c)
	if old == nil {
		return false
	}
	g.pending.Remove(old)
	g.countOff(old)
	g.overflow(old, v)
	v.close = append(v.close, old)
	v.hit(LimitPending, old)
	return true
}

// pushes returns the client that waits to authenticate and must give way to c, or nil if no address
// has more of them than c's would have with c.
func (g *gate) pushes(c *Conn) *Conn {
	if old, n := g.pending.Greediest(); n > g.pending.Of(c.network())+1 {
		return old
	}
	return nil
}

// pend counts an upgraded client that has yet to authenticate. It returns false if there are too
// many and no address has more of them than its own.
func (g *gate) pend(c *Conn) bool {
	g.mu.Lock()
	var v verdicts
	defer g.carryOut(&v)
	if g.pendMost > 0 && g.pending.Len() >= g.pendMost {
		old := g.pushes(c)
		if old == nil {
			return false
		}
		g.pending.Remove(old)
		v.close = append(v.close, old)
		v.hit(LimitPending, old)
	}
	if c.standing&stdFalling == 0 {
		g.pending.Add(c, c.network())
	}
	return true
}

// authenticated is called when a client is no longer pending.
func (g *gate) authenticated(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending.Remove(c)
}

// closes is called when a client begins to close. Another one may take its place.
func (g *gate) closes(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending.Remove(c)
	if c.standing&stdUpgraded != 0 {
		g.closing.Add(c, c.network())
	}
}

// leave is called when a socket's descriptor is closed.
func (g *gate) leave(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(c)
	if c.standing&stdFalling != 0 {
		g.falling--
		g.landed.Signal()
	}
	c.standing = stdGone
}
