package loop

import (
	"time"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// This file runs on the pollers' goroutines: one poller reads one connection, a turn at
// a time. nbio's events are one-shot: whoever ends a turn has the next one reported
// (again), behind all that wait already, or leaves that to the loop (pause).

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
	// maxDiscard is how much is read from a client that is being closed, so that
	// the close frame reaches it. Who goes on for longer is reset.
	maxDiscard = 4 << 20
)

// putOff is why input that there is, or may be, is read later.
type putOff uint8

const (
	offNot   putOff = iota
	offTurn         // the turn was over: others first
	offInbox        // the loop has not handled yet what came
	offPace         // more small frames than the pace allows
	putOffs
)

// onRead is told of a connection that has input, or whose peer is gone.
func (e *Engine) onRead(nb *nbio.Conn) {
	beat := &e.pollers[nb.Hash()%len(e.pollers)]
	beat.Begin()
	defer beat.End()
	e.accepted.Load() // nbio passes nb on without any other synchronisation
	c, ok := nb.Session().(*Conn)
	if !ok {
		p := nb.Session().(*probe)
		p.once.Do(func() {
			close(p.seen)
			time.Sleep(p.rest)
		})
		return
	}
	c.turn(e.nb.PollerBuffer(nb))
}

// turn reads until there is no more, or others should have theirs.
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
			c.again()
			return
		}
		now = e.now()
		if left--; off == offNot && (left <= 0 || now-began > maxTurn) {
			off = offTurn
		}
		switch {
		case off == offNot, last && left > 0:
		case last && c.deaf.Load(): // until maxDiscard
		case last:
			c.shut()
			return
		case c.hungUp():
			left, last = lastReads+e.cfg.MaxMessage/readLen, true
		default:
			e.putOff[off].Add(1)
			if off == offTurn {
				c.again()
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
	deaf := c.deaf.Load()
	if !deaf {
		buf = buf[:min(readLen, len(buf))]
	}
	n, err := c.read(buf)
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

func (c *Conn) read(buf []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return 0, unix.EBADF
	}
	return unix.Read(int(c.fd), buf)
}

// again has the next event reported, at once where there is something.
func (c *Conn) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rearmLocked()
}

func (c *Conn) rearmLocked() {
	if c.fd >= 0 {
		c.nb.ResetPollerEvent()
	}
}

// hungUp reports whether the event that is being looked at may have said that the peer
// is gone. That does not pass: had it said so, the socket still does.
func (c *Conn) hungUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return true
	}
	p := [1]unix.PollFd{{Fd: c.fd, Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// pause has the connection not read until the loop resumes it: behind all that was
// posted for this connection so far, or a tick later.
func (c *Conn) pause(off putOff) {
	c.mu.Lock()
	c.paused = true
	c.mu.Unlock()
	c.loop.post(event{kind: evPaused, conn: c, code: uint16(off)})
}

// resume ends a pause, if there is one. Whoever ends a connection calls it too: only a
// poller that is told of it closes descriptors.
func (c *Conn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumeLocked()
}

func (c *Conn) resumeLocked() {
	if c.paused {
		c.paused = false
		c.rearmLocked()
	}
}

// shut closes the descriptor, at the end of the input. nbio forgets its number
// first, while it still is this connection's.
func (c *Conn) shut() {
	c.mu.Lock()
	fd := c.fd
	if fd >= 0 {
		c.deaf.Store(true)
		c.nb.Close()
		unix.Close(int(fd))
		c.fd = -1
	}
	c.mu.Unlock()
	if fd >= 0 && (c.secure == nil || c.secure.end()) {
		c.loop.inbox.postLater(event{kind: evGone, conn: c})
	}
}
