package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// This file runs on the pollers' goroutines. At the end of a turn the poller asks for the next event
// of the connection, which comes after all that wait already, or leaves that to the loop (pause).

const (
	// readLen is the bytes of one read, and turnReads the reads of a turn. Within the paces a
	// poller handles that many bytes in less than a millisecond.
	readLen   = 16 << 10
	turnReads = 2
	// maxTurn ends a turn whose bytes take longer than most, for example JSON to parse.
	maxTurn = slice
	// lastReads is how many more reads there are, besides one long message, when the peer is gone.
	// nbio forgets a connection with the event that reports this, so there is no other turn. Paces
	// still hold.
	lastReads = 16
	// maxDiscard is how much is read from a client that is being closed, so that the close frame
	// reaches it. A client that sends more is reset.
	maxDiscard = 4 << 20
)

// putOff is why input is read later.
type putOff uint8

const (
	offNot   putOff = iota
	offTurn         // the turn is over: other connections first
	offInbox        // the loop has not handled earlier input yet
	offPace         // more small frames than the pace allows
	putOffs
)

// turn reads until there is no more input or its turn is over.
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

// readOnce reads once and handles what came. n is the number of bytes; 0: there are none for now.
// ended reports whether the descriptor is closed. off is why the peer must wait.
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

// pause stops reading the connection until the loop resumes it, either after everything that was
// posted for this connection so far, or a tick later.
func (c *Conn) pause(off putOff) {
	c.sock.Pause()
	c.loop.post(event{kind: evPaused, conn: c, code: uint16(off)})
}

// shut closes the descriptor at the end of the input.
func (c *Conn) shut() {
	c.signs.setDeaf()
	if c.sock.Close() && (c.secure == nil || c.secure.Closed()) {
		c.loop.inbox.postLater(event{kind: evGone, conn: c})
	}
}
