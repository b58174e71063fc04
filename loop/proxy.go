package loop

import (
	"net/netip"

	"tapecast/loop/proxyheader"
)

// This file is about peers that send a PROXY protocol header first (package proxyheader):
// Config.Trusted ones only, since whoever may send one may claim any address.

// readHeader is given what a trusted peer sent, up to the end of its header, and returns
// what came behind it.
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
		e.cfg.Log.Warn("a trusted proxy sent no valid PROXY protocol header; is it turned on there?",
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
	e.gate.known(c, from)
	return b[n:]
}

// trusts reports whether a peer has to send a PROXY protocol header.
func (e *Engine) trusts(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	for _, p := range e.cfg.Trusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// known gives a socket the address that its PROXY protocol header names, and counts it
// for that. One that names none stays the balancer's, which has no limit.
func (g *gate) known(c *Conn, from netip.AddrPort) {
	g.mu.Lock()
	var v verdicts
	if c.standing&stdFalling == 0 {
		g.half.Remove(c)
		if from.IsValid() {
			c.addr, c.port = from.Addr().As16(), from.Port()
			g.count(c, &v)
		} else {
			g.await(c, false, &v)
		}
	}
	g.carryOut(&v)
}
