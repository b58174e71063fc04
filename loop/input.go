package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// This file runs on the pollers' goroutines: one poller reads one connection, a turn at
// a time. Events are one-shot (package netpoll): whoever ends a turn has the next one
// reported, behind all that wait already, or leaves that to the loop (pause).

const (
	// readLen is what one read takes, and turnReads how many there are in a turn. What
	// lies in that many bytes, and is within the paces, takes a poller less than a
	// millisecond.
	readLen   = 16 << 10
	turnReads = 2
	// maxTurn ends a turn whose bytes take longer than most: JSON to parse, say.
	maxTurn = slice
	// lastReads is how many more there are, beside one long message, where the peer is
	// gone: nbio forgets a connection with the event that says so, and there is no other
	// turn. Paces hold there too.
	lastReads = 16
	// maxDiscard is how much is read from a client that is being closed, so that the close
	// frame reaches it. A client that sends more is reset.
	maxDiscard = 4 << 20
)

// putOff is why input is read later than it could be.
type putOff uint8

const (
	offNot   putOff = iota
	offTurn         // the turn was over: others first
	offInbox        // the loop has not handled yet what came
	offPace         // more small frames than the pace allows
	putOffs
)

// turn reads until there is no more input, or other connections should have their turn.
func (c *Conn) turn(buf []byte) {
	e := c.loop.engine
	began := e.now()
	now, left, last := began, turnReads, false
	for {
		off, n, ended := c.readOnce(buf, now)
		switch {
		case ended:
			return
		case n == 0:
			c.sock.Again()
			return
		}
		now = e.now()
		if left--; off == offNot && (left <= 0 || now-began > maxTurn) {
			off = offTurn
		}
		switch {
		case off == offNot, last && left > 0:
		case last && c.signs.deaf(): // until maxDiscard
		case last:
			c.shut()
			return
		case c.sock.HungUp():
			left, last = lastReads+e.cfg.MaxMessage/readLen, true
		default:
			e.putOff[off].Add(1)
			if off == offTurn {
				c.sock.Again()
			} else {
				c.pause(off)
			}
			return
		}
	}
}

// readOnce reads once and hands it on. n: bytes that came; 0: there are none for now.
// ended: the descriptor is closed. off: whether the peer should wait.
func (c *Conn) readOnce(buf []byte, now time.Duration) (off putOff, n int, ended bool) {
	deaf := c.signs.deaf()
	if !deaf {
		buf = buf[:min(readLen, len(buf))]
	}
	n, err := c.sock.Read(buf)
	if n > 0 {
		c.heard.Store(uint32(now / tickLen))
	}
	switch {
	case n > 0 && deaf:
		if c.discarded += uint32(n); c.discarded > maxDiscard {
			c.shut()
			return 0, n, true
		}
		return offNot, n, false
	case n > 0:
		return c.arrived(buf[:n]), n, false
	case err == unix.EAGAIN || err == unix.EINTR:
		return offNot, 0, false
	}
	c.shut()
	return 0, 0, true
}

// pause stops reading the connection until the loop resumes it: behind everything that was
// posted for this connection so far, or a tick later.
func (c *Conn) pause(off putOff) {
	c.sock.Pause()
	c.loop.post(event{kind: evPaused, conn: c, code: uint16(off)})
}

// shut closes the descriptor, at the end of the input.
func (c *Conn) shut() {
	c.signs.setDeaf()
	if c.sock.Close() && (c.secure == nil || c.secure.Closed()) {
		c.loop.inbox.postLater(event{kind: evGone, conn: c})
	}
}
