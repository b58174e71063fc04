package loop

import (
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"tapecast/loop/forwarded"
	"tapecast/loop/proxyheader"
	"tapecast/loop/upgrade"
)

// This file finds the address of a client behind a proxy. A balancer sends a PROXY protocol header
// first (package proxyheader), and must be in Config.Trusted. A proxy that speaks HTTP adds a field
// to the request (package forwarded), and must be in Config.Forwarders. Any other peer could claim
// any address.

// readHeader handles what a trusted peer sent, up to the end of its header, and returns what came
// after it.
func (c *Conn) readHeader(b []byte) []byte {
	if c.asked != nil {
		c.asked.text = append(c.asked.text, b...)
		b = c.asked.text
	}
	e := c.loop.engine
	n, from, err := proxyheader.Read(b)
	switch {
	case err != nil:
		e.misled.Add(1)
		e.cfg.Log.Warn("a trusted proxy sent no valid PROXY protocol header; is the protocol enabled on the proxy?",
			"remote", c.Remote(), "error", err)
		c.asked = nil
		c.cut()
		return nil
	case n == 0:
		if c.asked == nil {
			c.asked = &askedPart{text: append([]byte(nil), b...)}
		}
		return nil
	}
	c.asked, c.input = nil, inRequest
	e.gate.known(c, from, e.isForwarder(from.Addr()))
	return b[n:]
}

// within reports whether one of the networks holds a peer.
func within(networks []netip.Prefix, peer netip.Addr) bool {
	if len(networks) == 0 {
		return false
	}
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(peer) })
}

func (e *Engine) isForwarder(peer netip.Addr) bool { return within(e.cfg.Forwarders, peer) }

// forwarded gives a connection from a proxy the address that the proxy names, and counts it for
// that address. If the proxy names none, it keeps the proxy's address, which has no limit. It
// refuses a request whose field cannot be read.
func (c *Conn) forwarded(r *upgrade.Request) upgrade.Verdict {
	e := c.loop.engine
	if !e.isForwarder(c.Remote().Addr()) {
		return upgrade.Verdict{}
	}
	field := e.cfg.ForwardedField
	from, err := forwarded.Client(field, r.Header(field), e.isForwarder)
	if err != nil {
		n := e.unnamed.Add(1)
		if e.mayLog(&e.lastUnnamed) {
			e.cfg.Log.Warn("a request from a trusted proxy is refused: the field that names the client cannot be read",
				"remote", c.Remote(), "field", field, "error", err, "refused", n)
		}
		return upgrade.Verdict{Status: http.StatusBadRequest, Body: "bad " + field + ": " + err.Error() + "\n"}
	}
	if from.IsValid() {
		e.gate.rename(c, from)
		r.Remote = c.Remote()
	}
	return upgrade.Verdict{}
}

// known gives a socket the address that its PROXY protocol header names, and counts it for that
// address. If the header names none, the socket keeps the balancer's address, which has no limit.
// Nor has that of a forwarder.
func (g *gate) known(c *Conn, from netip.AddrPort, forwarder bool) {
	g.mu.Lock()
	var v verdicts
	if c.standing&stdFalling == 0 {
		g.half.Remove(c)
		if from.IsValid() {
			g.incoming.rename(c, from)
		}
		if from.IsValid() && !forwarder {
			g.count(c, &v)
		} else {
			g.await(c, false, &v)
		}
	}
	g.carryOut(&v)
}

// rename gives a half-open socket the address of the client that its request names, and counts it for
// that address. If there are too many of it, the socket is kept until it is told.
func (g *gate) rename(c *Conn, from netip.AddrPort) {
	g.mu.Lock()
	var v verdicts
	if c.standing&stdFalling == 0 {
		g.incoming.rename(c, from)
		if !g.countAddress(c, &v) {
			g.half.Remove(c)
			g.overflow(c, &v)
		}
	}
	g.carryOut(&v)
}

// rename sets a connection's address. Both locks are held, since the owner of either reads it.
func (m *incoming) rename(c *Conn, from netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.addr, c.port = from.Addr().As16(), from.Port()
}

// mayLog reports whether something that peers cause may be logged, which is once a second.
func (e *Engine) mayLog(last *atomic.Int64) bool {
	now := int64(e.now()) // the wall clock, when set back, would silence the log
	was := last.Load()
	return (was == 0 || now-was > int64(time.Second)) && last.CompareAndSwap(was, now)
}
