package loop

import (
	"net/http"

	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
)

// This file runs on the goroutine that reads: the poller's, or the worker's during a TLS handshake.

// maxUnhandled bounds what a connection's input has put into the loop's inbox and the loop has not
// handled. It counts messages, each once more for every 2 KB of it. The input of one read may come
// on top, and so may the end of one message.
const maxUnhandled = 32

// arrived handles bytes from the socket. It returns whether and why the peer must wait.
func (c *Conn) arrived(b []byte) putOff {
	if c.input == inHeader {
		if b = c.readHeader(b); len(b) == 0 {
			return offNot
		}
	}
	if c.secure != nil {
		return c.ciphertext(b)
	}
	c.received(b)
	return c.tooFast()
}

func (c *Conn) tooFast() putOff {
	switch {
	case c.signs.deaf(), c.unhandled >= maxUnhandled:
		c.unhandled = 0 // all of it is handled when the connection is read again
		return offInbox // if it is being closed, the loop says why before more is read
	case c.paid > paceBurst:
		return offPace
	}
	return offNot
}

// received handles bytes of the upgrade request, and later of frames.
func (c *Conn) received(b []byte) {
	if c.reading {
		c.frames(b)
		return
	}
	var s upgrade.Scan
	was := c.held()
	if c.asked != nil {
		c.asked.text = append(c.asked.text, b...)
		b, s = c.asked.text, c.asked.scan
	}
	response, used, status := s.Answer(b, &c.loop.engine.site, c.Remote(), c.judge)
	if status == 0 {
		if c.asked == nil {
			c.asked = &askedPart{text: append([]byte(nil), b...)}
		}
		if c.asked.scan = s; s.Body() && c.secure == nil {
			c.accountFor(was)
		}
		return
	}
	c.asked, c.reading = nil, status == 101
	if !c.reading {
		c.signs.setDeaf()
	}
	if was > 0 && c.secure == nil {
		c.accountFor(was)
	}
	if c.stream != streamNot {
		status = 101
	}
	c.loop.post(event{kind: evUpgrade, conn: c, data: response, code: uint16(status), arg: c.input >= inJudged})
	if c.reading && used < len(b) {
		c.frames(b[used:])
	}
}

// tooMany refuses a client when there are too many.
var tooMany = upgrade.Verdict{
	Status: http.StatusServiceUnavailable, Body: "too many connections; try again later", RetryAfter: 10,
}

// judge lets the handler decide on a valid request.
func (c *Conn) judge(r *upgrade.Request) upgrade.Verdict {
	e := c.loop.engine
	if v := c.forwarded(r); v.Status != 0 {
		return v
	}
	if e.cfg.Knock != nil {
		if v := e.cfg.Knock(c.Remote()); v.Status != 0 {
			return v
		}
	}
	if !e.gate.admit(c) {
		return tooMany
	}
	c.input = inJudged
	c.signs.bits.Or(signJudging | signJudged)
	defer c.signs.bits.And(^uint32(signJudging))
	v := e.cfg.Handler.Open(c, r)
	if r.Stream == "" {
		c.deflate = v.Deflate && r.Deflate
	} else if v.Status == 0 {
		c.streams(v.Marked)
	}
	return v
}

// frames handles bytes of frames.
func (c *Conn) frames(b []byte) {
	c.earn()
	was := c.held()
	if fault, reason := c.reader.Feed(b, (*heard)(c)); fault != 0 {
		c.fault(uint16(fault), reason)
	}
	if c.secure == nil { // with TLS, once everything is decrypted
		c.accountFor(was)
	}
}

func (c *Conn) fault(code uint16, reason string) {
	c.loop.post(event{kind: evClose, conn: c, code: code, data: []byte(reason)})
	c.signs.setDeaf()
}

// held returns the memory of an incomplete message, an incomplete body and an incomplete TLS record.
func (c *Conn) held() int {
	n := c.reader.Held()
	if c.asked != nil && c.asked.scan.Body() {
		n += cap(c.asked.text)
	}
	if c.secure != nil {
		n += c.secure.Held()
	}
	return n
}

// accountFor reports the memory that the connection holds. was is what it held before this input.
// The connection is closed if that is too much.
func (c *Conn) accountFor(was int) {
	m, now := &c.loop.engine.incoming, c.held()
	if now == was && c.secure == nil || now == 0 && was == 0 || m.holds(c, int64(now)) {
		return
	}
	c.letGo()
	if c.input < inJudged {
		c.signs.setDeaf()
		v := upgrade.Verdict{Status: http.StatusServiceUnavailable, Body: noMemory, RetryAfter: 10}
		c.loop.post(event{kind: evUpgrade, conn: c, data: upgrade.Refuse(v, nil), code: uint16(v.Status), arg: false})
		return
	}
	c.fault(wire.CloseTryLater, noMemory)
}

// giveUp ends a connection whose memory others need. Any goroutine may call it.
func (c *Conn) giveUp() {
	if c.signs.bits.Load()&signJudged == 0 {
		c.cut() // its request was not answered yet
		return
	}
	c.Close(wire.CloseTryLater, noMemory)
}

// letGo frees that memory once no input is, or will be, read any more.
func (c *Conn) letGo() {
	c.reader.End()
	c.asked = nil
	if c.secure != nil {
		c.secure.Trim(true)
	}
	c.loop.engine.incoming.holds(c, 0)
}
