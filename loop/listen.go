package loop

import (
	"net/netip"

	"tapecast/loop/netpoll"
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
	if within(e.cfg.Trusted, from.Addr()) {
		c.input = inHeader
	}
	e.gate.enter(c, c.input == inHeader || e.isForwarder(from.Addr()))
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
	if e.mayLog(&e.lastFail) {
		e.cfg.Log.Error("cannot accept connections; is the descriptor limit too low?",
			"error", err, "failed", e.failed.Load(), "connections", e.conns.Load())
	}
}
