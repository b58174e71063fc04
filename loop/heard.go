package loop

import (
	"math"

	"github.com/gobwas/ws"

	"tapecast/loop/wsread"
	"tapecast/rooms/wire"
)

// heard is a Conn as its reader sees it (wsread.Events). It is a type of its own so that Conn does
// not have these methods. They run on the goroutine that reads.
type heard Conn

func (h *heard) conn() *Conn { return (*Conn)(h) }

// Limits returns larger limits once the client is authenticated.
func (h *heard) Limits() wsread.Limits {
	cfg := &h.loop.engine.cfg
	if h.signs.authenticated() {
		return wsread.Limits{Message: cfg.MaxMessage, Deflate: h.deflate}
	}
	return wsread.Limits{Message: cfg.MaxEarlyMessage, Deflate: h.deflate}
}

// Admit asks the handler before anything is done with a message.
func (h *heard) Admit() bool {
	ok := h.loop.handler.Admit(h.conn())
	if h.signs.deaf() {
		h.reader.End()
		return false
	}
	return ok
}

// Message hands a message to the handler.
func (h *heard) Message(op ws.OpCode, p []byte) {
	h.unhandled = uint16(min(int(h.unhandled)+1+len(p)>>11, math.MaxUint16))
	h.loop.handler.Message(h.conn(), byte(op), p)
	if h.signs.deaf() {
		h.reader.End()
	}
}

// Ping queues the answer. Pongs that wait for the loop are bounded like those that wait for the
// socket: beyond the bound only the latest is kept (RFC 6455, 5.5.3).
func (h *heard) Ping(p []byte) {
	c := h.conn()
	if !c.pay(PaceControl, 1) {
		return
	}
	c.sock.Lock()
	first := c.pongs == nil
	if first {
		c.pongs = new([]byte)
	}
	*c.pongs = appendPong(*c.pongs, p)
	c.sock.Unlock()
	if first {
		c.loop.post(event{kind: evPing, conn: c})
	}
}

func appendPong(pongs, payload []byte) []byte {
	if len(pongs)+len(payload)+maxControlHead > maxPongs {
		pongs = pongs[:0]
	}
	return wire.AppendFrame(pongs, wire.OpPong, payload)
}

// takePongs returns the pongs that the loop has not taken yet. Only the loop calls it.
func (c *Conn) takePongs() []byte {
	c.sock.Lock()
	defer c.sock.Unlock()
	if c.pongs == nil {
		return nil
	}
	p := *c.pongs
	c.pongs = nil
	return p
}

// Pong needs no handling: the turn has noted that the peer is alive.
func (h *heard) Pong([]byte) { h.conn().pay(PaceControl, 1) }

// Fragment charges the client for a small fragment.
func (h *heard) Fragment(n int) {
	if n < freeFragment {
		h.conn().pay(PaceFragments, 1)
	}
}

// Inflated charges the client for a message that inflates to many times its size.
func (h *heard) Inflated(from, to int) {
	if to > freeRatio*from {
		h.conn().pay(PaceInflated, uint32(to>>12))
	}
}

// Closed passes the peer's close code to the loop. Nothing follows it.
func (h *heard) Closed(code ws.StatusCode, _ []byte) {
	h.signs.setDeaf()
	h.loop.post(event{kind: evPeerClose, conn: h.conn(), code: uint16(code)})
}
