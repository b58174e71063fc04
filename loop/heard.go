package loop

import (
	"math"

	"github.com/gobwas/ws"

	"tapecast/loop/wsread"
	"tapecast/rooms/wire"
)

// heard is a Conn as its reader sees it (wsread.Events). It is a type of its own, so that
// Conn has none of these methods. They run on the goroutine that reads.
type heard Conn

func (h *heard) conn() *Conn { return (*Conn)(h) }

// Limits are longer once the client is authenticated.
func (h *heard) Limits() wsread.Limits {
	cfg := &h.loop.engine.cfg
	if h.input == inAuthenticated {
		return wsread.Limits{Message: cfg.MaxMessage, Deflate: h.deflate}
	}
	return wsread.Limits{Message: cfg.MaxEarlyMessage, Deflate: h.deflate}
}

// Admit asks the handler before anything is done with a message that has come.
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

// Ping has the payload answered. What waits for the loop is bounded as what waits for the
// socket is: beyond that only the latest (RFC 6455, 5.5.3).
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

// takePongs returns the pongs that the loop has not seen yet. The loop calls it.
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

// Pong says no more than that the peer lives, and the turn has noted that.
func (h *heard) Pong([]byte) { h.conn().pay(PaceControl, 1) }

// Fragment has a small one paid for.
func (h *heard) Fragment(n int) {
	if n < freeFragment {
		h.conn().pay(PaceFragments, 1)
	}
}

// Inflated has a message paid for that inflates much.
func (h *heard) Inflated(from, to int) {
	if to > freeRatio*from {
		h.conn().pay(PaceInflated, uint32(to>>12))
	}
}

// Closed passes the peer's close code on; nothing follows it.
func (h *heard) Closed(code ws.StatusCode, _ []byte) {
	h.signs.setDeaf()
	h.loop.post(event{kind: evPeerClose, conn: h.conn(), code: uint16(code)})
}
