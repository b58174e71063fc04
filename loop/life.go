package loop

import (
	"time"

	"golang.org/x/sys/unix"

	"tapecast/rooms/wire"
)

const (
	// A close frame that does not move within closeWait is given up.
	closeWait = 5 * time.Second
	// After the close frame the peer has lingerWait to close its side: a
	// close() with unread input resets, and can destroy the close frame.
	lingerWait = time.Second

	// Every ping is answered (Autobahn 2.10), until so many bytes wait.
	maxPongs       = 4 << 10
	maxControlHead = 2 // of a frame of ours

	noReadReason = "answers are not being read"
)

func (l *Loop) opened(c *Conn) {
	c.index = uint32(len(l.conns))
	l.conns = append(l.conns, c)
	c.deadline = l.tickNow() + ticks(l.engine.cfg.HandshakeTimeout)
	l.schedule(c)
	if l.engine.stopping.Load() {
		l.hangUp(c)
	}
}

// upgraded sends the answer to the upgrade, and then does what the handler
// asked for meanwhile.
func (l *Loop) upgraded(c *Conn, e *event) {
	if e.arg.(bool) {
		c.flags |= fJudged
	}
	if c.state == stGone {
		return
	}
	c.outOf().rest = e.data
	c.deadline = 0
	if e.code != 101 {
		l.stats.Refused++
		c.state = stClosing
		l.engine.gate.closes(c)
		c.side = nil
		c.signs.setDeaf()
		c.deadline = l.tickNow() + ticks(closeWait)
		l.schedule(c)
		l.flush(c)
		return
	}
	c.state = stOpen
	l.stats.Upgraded++
	l.schedule(c)
	if c.side == nil {
		l.flush(c)
		return
	}
	// The answer and the first replies go out together.
	l.ready.add(c)
	l.resumeSide(c)
}

func (l *Loop) authenticated(c *Conn, positions bool) {
	if c.state != stOpen {
		return
	}
	if !c.is(fAuthenticated) {
		l.stats.Authenticated++
	}
	c.flags |= fAuthenticated
	c.flags &^= fPositions
	if positions {
		c.flags |= fPositions
	}
	if c.beatAt == 0 {
		c.beatAt = l.firstBeat()
	}
	l.schedule(c)
}

// reply sends whole frames behind those that already wait.
func (l *Loop) reply(c *Conn, frames []byte) {
	if c.state == stOpen && l.offer(c, frames) {
		l.owed.add(c)
	}
}

// offer is enqueue for a client that asks a lot at once and does read: it has
// not been offered its answers yet, and only what the kernel does not take
// counts against it.
func (l *Loop) offer(c *Conn, frames []byte) bool {
	if o := c.out; o != nil && o.wouldOverflow(frames) {
		c.flags |= fSent // what is held for a first join is held no longer
		l.flush(c)
	}
	return c.state == stOpen && l.enqueue(c, frames)
}

// enqueue puts whole frames behind those that wait; false: too much waits
// already, and the connection is being closed.
func (l *Loop) enqueue(c *Conn, frames []byte) bool {
	o := c.outOf()
	if o.wouldOverflow(frames) {
		l.close(c, wire.ClosePolicy, []byte(noReadReason))
		return false
	}
	if o.replies == nil {
		o.replies = frames
	} else {
		o.replies = append(o.replies, frames...)
	}
	return true
}

// pong sends pongs, which are whole frames.
func (l *Loop) pong(c *Conn, pongs []byte) {
	if c.state != stOpen || len(pongs) == 0 {
		return
	}
	o := c.outOf()
	if len(o.pong)+len(pongs) > maxPongs {
		o.pong = pongs // RFC 6455, 5.5.3: the latest are enough
	} else {
		o.pong = append(o.pong, pongs...)
	}
	l.owed.add(c)
}

// paused has a connection that is not read resumed: now that all it had posted before is
// handled, or with the next tick.
func (l *Loop) paused(c *Conn, off putOff) {
	if off == offPace && c.state <= stOpen {
		l.late = append(l.late, c)
		return
	}
	c.sock.Resume()
}

// resumeLate is called with each tick.
func (l *Loop) resumeLate() {
	for i, c := range l.late {
		c.sock.Resume()
		l.late[i] = nil
	}
	l.late = l.late[:0]
}

// close begins the closing handshake: no more frames of rooms, then the close
// frame, then the end.
func (l *Loop) close(c *Conn, code uint16, reason []byte) {
	if c.state != stOpen {
		return
	}
	c.state, c.code = stClosing, code
	c.signs.setDeaf()
	l.engine.gate.closes(c)
	c.dropSide()
	l.leaveAll(c)
	o := c.outOf()
	o.pong, o.ping = nil, nil
	o.close = wire.CloseFrame(code, reason)
	c.deadline = l.tickNow() + ticks(closeWait)
	c.beatAt, c.timerAt = 0, 0
	l.schedule(c)
	l.owed.add(c)
	c.sock.Resume() // what it still says is discarded
}

// peerClosed answers a close frame with one, or ends what we began.
func (l *Loop) peerClosed(c *Conn, code uint16) {
	switch {
	case c.state == stOpen:
		l.close(c, code, nil)
	case c.state == stClosing && c.is(fEnding):
		l.hangUp(c)
	}
}

// endWrite is called when the last byte, the close frame's, has been sent.
func (l *Loop) endWrite(c *Conn) {
	if c.is(fEnding) || c.secure != nil && !l.goodbye(c) {
		return
	}
	c.flags |= fEnding
	c.sock.Control(func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) })
	c.deadline = l.tickNow() + ticks(lingerWait)
	l.schedule(c)
}

// overdue is called when a connection did not move on in time.
func (l *Loop) overdue(c *Conn) {
	switch {
	case c.state == stOpen:
		l.unanswered(c)
	case c.state == stNew:
		l.stats.HandshakeTimeouts++
		l.hangUp(c)
	case c.state == stClosing && !c.is(fEnding):
		l.stats.Resets++
		c.sock.Control(func(fd int) {
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		l.hangUp(c)
	case c.state == stClosing:
		l.hangUp(c)
	}
}

// hangUp ends a connection at once. The poller sees the end of the input,
// closes the descriptor and posts evGone: it alone closes descriptors, while
// it looks at this one's event, so that no late event can meet another
// connection under the same number.
func (l *Loop) hangUp(c *Conn) {
	if c.state == stGone {
		return
	}
	c.state = stGone
	c.signs.setDeaf()
	c.dropSide()
	c.out = nil
	c.deadline, c.beatAt, c.timerAt = 0, 0, 0
	l.wheel.remove(c)
	l.leaveAll(c)
	c.sock.ShutDown()
	c.sock.Resume()
}

// gone is called once the descriptor is closed: the last event of a connection.
func (l *Loop) gone(c *Conn) {
	l.hangUp(c)
	delete(l.blocked, c.id)
	last := l.conns[len(l.conns)-1]
	l.conns[c.index] = last
	last.index = c.index
	l.conns[len(l.conns)-1] = nil
	l.conns = l.conns[:len(l.conns)-1]
	if c.is(fAuthenticated) {
		l.stats.Authenticated--
	}
	if c.code == 0 {
		c.code = wire.CloseNone
	}
	l.stats.closed(c.code)
	l.recount = true
	if c.is(fJudged) {
		l.handler.Closed(c, int(c.code))
	}
	if c.held() > 0 {
		c.letGo()
	}
	c.session = nil
	l.engine.gate.leave(c)
	l.engine.conns.Add(-1)
}
