package loop

import (
	"net/netip"
	"slices"
	"time"

	"tapecast/loop/netpoll"
	"tapecast/loop/proxyheader"
	"tapecast/loop/tlsconn"
)

// ListenNetwork returns the network to listen on for a host:port. On "tcp" the standard library
// takes 0.0.0.0 as all addresses, IPv6 included, but a user who writes it means IPv4.
func ListenNetwork(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// newNet returns the part that listens and watches sockets, and reports to the engine.
func (e *Engine) newNet() *netpoll.Engine {
	cfg := &e.cfg
	return netpoll.New(netpoll.Config{
		Network: ListenNetwork(cfg.Addr), Addr: cfg.Addr, Pollers: cfg.Pollers, Log: cfg.Log,
		SendBuffer: cfg.SendBuffer, NotSentLowat: cfg.NotSentLowat,

		AwaitRoom: e.gate.awaitRoom,
		Accepted: func(from netip.AddrPort) (any, *netpoll.Socket) {
			c := e.newConn(from)
			return c, &c.sock
		},
		Opened:    func(c any) { e.opened(c.(*Conn)) },
		Lost:      func(c any) { e.forget(c.(*Conn)) },
		Failed:    e.acceptFailed,
		Readable:  func(c any, buf []byte) { c.(*Conn).turn(buf) },
		Forgotten: func(c any) { c.(*Conn).shut() },
	})
}

// newConn returns the connection of a descriptor that was just accepted, and counts it.
func (e *Engine) newConn(from netip.AddrPort) *Conn {
	e.conns.Add(1)
	id := e.ids.Add(1)
	c := &Conn{loop: e.loops[id%uint64(len(e.loops))], id: id, slot: -1, port: from.Port()}
	if e.cfg.TLS != nil {
		c.secure = tlsconn.New((*secured)(c), e.handshakes)
	}
	if from.IsValid() {
		c.addr = from.Addr().As16()
	}
	if e.trusts(from.Addr()) {
		c.input = inHeader
	}
	e.gate.enter(c, c.input == inHeader)
	return c
}

// opened tells the loop of a connection that has its descriptor. Nothing of it has been read.
func (e *Engine) opened(c *Conn) {
	if c.signs.deaf() { // dropped already
		c.cut()
	}
	c.loop.inbox.postLater(event{kind: evOpened, conn: c})
}

// forget removes a connection that no poller could take from all counts.
func (e *Engine) forget(c *Conn) {
	e.gate.leave(c)
	e.conns.Add(-1)
}

func (e *Engine) acceptFailed(err error) {
	e.failed.Add(1)
	now := int64(e.now()) // the wall clock, when set back, would silence the log
	if last := e.lastFail.Load(); (last == 0 || now-last > int64(time.Second)) && e.lastFail.CompareAndSwap(last, now) {
		e.cfg.Log.Error("cannot accept connections; is the descriptor limit too low?",
			"error", err, "failed", e.failed.Load(), "connections", e.conns.Load())
	}
}

// Peers that send a PROXY protocol header first (package proxyheader). They must be in
// Config.Trusted, since a peer that may send one may claim any address.

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
	e.gate.known(c, from)
	return b[n:]
}

// trusts reports whether the peer must send a PROXY protocol header.
func (e *Engine) trusts(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(e.cfg.Trusted, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// known gives a socket the address that its PROXY protocol header names, and counts it for that
// address. If the header names none, the socket keeps the balancer's address, which has no limit.
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
