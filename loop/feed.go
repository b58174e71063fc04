package loop

import (
	"math"

	"github.com/gobwas/ws"

	"tapecast/rooms/wire"
)

// This file runs on the goroutine that reads: the poller's, or during a TLS handshake
// the worker's.

// maxUnhandled bounds what a connection's input has put into the loop's inbox and the loop
// has not handled: messages, each counted once more for every 2 KB of it. What one read
// brings may come on top, and so the end of one as long as a message may be.
const maxUnhandled = 32

// arrived is given what was read from the socket, and says whether the peer should wait.
func (c *Conn) arrived(b []byte) putOff {
	if c.input == inHeader {
		if b = c.readHeader(b); len(b) == 0 {
			return offNot
		}
	}
	if c.secure != nil {
		return c.secure.received(c, b)
	}
	c.received(b)
	return c.tooFast()
}

func (c *Conn) tooFast() putOff {
	switch {
	case c.deaf.Load(), c.unhandled >= maxUnhandled:
		c.unhandled = 0 // when the connection is read again, all of that is handled
		return offInbox // of one that is being closed, the loop says why before more is read
	case c.paid > paceBurst:
		return offPace
	}
	return offNot
}

// received is given bytes of the upgrade request, and later of frames.
func (c *Conn) received(b []byte) {
	if c.reading {
		c.feed(b)
		return
	}
	var s scan
	if c.asked != nil {
		c.asked.text = append(c.asked.text, b...)
		b, s = c.asked.text, c.asked.scan
	}
	e := c.loop.engine
	response, used, status := s.upgrade(b, e.cfg.Path, e.cfg.MaxHead, c.Remote(), func(r *Request) Verdict {
		if !e.gate.place(c) {
			return tooMany
		}
		c.input = inJudged
		c.judging.Store(true)
		defer c.judging.Store(false)
		v := e.cfg.Handler.Open(c, r)
		c.deflate = v.Deflate && r.Deflate
		return v
	})
	if status == 0 {
		if c.asked == nil {
			c.asked = &askedPart{text: append([]byte(nil), b...)}
		}
		c.asked.scan = s
		return
	}
	c.asked, c.reading = nil, status == 101
	if !c.reading {
		c.deaf.Store(true)
	}
	c.loop.post(event{kind: evUpgrade, conn: c, data: response, code: uint16(status), arg: c.input >= inJudged})
	if c.reading && used < len(b) {
		c.feed(b[used:])
	}
}

func (c *Conn) feed(b []byte) {
	c.earn()
	was := c.held()
	if fault, reason := c.reader.feed(b, c); fault != 0 {
		c.fault(uint16(fault), reason)
	}
	if c.secure == nil { // else when all that came is decrypted
		c.accountFor(was)
	}
}

func (c *Conn) fault(code uint16, reason string) {
	c.loop.post(event{kind: evFault, conn: c, code: code, data: []byte(reason)})
	c.deaf.Store(true)
}

// held is the memory of a message that has not all come, and of a TLS record.
func (c *Conn) held() int {
	n := c.reader.held()
	if c.secure != nil {
		n += c.secure.held()
	}
	return n
}

// accountFor tells what the connection holds, which was that much before the last input. It
// is closed where that is too much.
func (c *Conn) accountFor(was int) {
	m, now := &c.loop.engine.incoming, c.held()
	if now == was && c.secure == nil || now == 0 && was == 0 || m.holds(c, int64(now)) {
		return
	}
	c.letGo()
	c.fault(wire.CloseTryLater, noMemory)
}

// letGo frees what the connection holds, once nobody reads any more or will.
func (c *Conn) letGo() {
	c.reader.end()
	if c.secure != nil {
		c.secure.trim(true)
	}
	c.loop.engine.incoming.holds(c, 0)
}

// The reader's events.

func (c *Conn) limits() limits {
	cfg := &c.loop.engine.cfg
	if c.input == inAuthenticated {
		return limits{cfg.MaxMessage, c.deflate}
	}
	return limits{cfg.MaxEarlyMessage, c.deflate}
}

// admit asks the handler before anything is done with a message that has come.
func (c *Conn) admit() bool {
	ok := c.loop.handler.Admit(c)
	if c.deaf.Load() {
		c.reader.end()
		return false
	}
	return ok
}

func (c *Conn) message(op ws.OpCode, p []byte) {
	c.unhandled = uint16(min(int(c.unhandled)+1+len(p)>>11, math.MaxUint16))
	c.loop.handler.Message(c, byte(op), p)
	if c.deaf.Load() {
		c.reader.end()
	}
}

// ping has the payload answered. What waits for the loop is bounded as what waits for the
// socket is: beyond that only the latest (RFC 6455, 5.5.3).
func (c *Conn) ping(p []byte) {
	if !c.pay(PaceControl, 1) {
		return
	}
	c.mu.Lock()
	first := c.pongs == nil
	if first {
		c.pongs = new([]byte)
	}
	*c.pongs = appendPong(*c.pongs, p)
	c.mu.Unlock()
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

// takePongs is the loop's: the pongs that it has not seen yet.
func (c *Conn) takePongs() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pongs == nil {
		return nil
	}
	p := *c.pongs
	c.pongs = nil
	return p
}

// pong says no more than that the peer lives, and the turn has noted that.
func (c *Conn) pong([]byte) { c.pay(PaceControl, 1) }

func (c *Conn) fragment(n int) {
	if n < freeFragment {
		c.pay(PaceFragments, 1)
	}
}

func (c *Conn) inflated(from, to int) {
	if to > freeRatio*from {
		c.pay(PaceInflated, uint32(to>>12))
	}
}

func (c *Conn) closed(code ws.StatusCode, _ []byte) {
	c.deaf.Store(true)
	c.loop.post(event{kind: evPeerClose, conn: c, code: uint16(code)})
}
