package loop

import (
	"time"

	"golang.org/x/sys/unix"

	"tapecast/rooms/wire"
)

const (
	// A connection whose close frame does not move within closeWait is ended.
	closeWait = 5 * time.Second
	// After the close frame the peer has lingerWait to close its side. A close() with unread input
	// sends a reset, which can destroy the close frame.
	lingerWait = time.Second

	// Every ping is answered (Autobahn 2.10), until this many bytes of pongs wait.
	maxPongs       = 4 << 10
	maxControlHead = 2 // of a frame of ours

	noReadReason = "the client does not read its replies"
)

// life holds the connections of a loop: how each opens, closes and ends.
type life struct {
	loop  *Loop
	conns []*Conn
}

// opened adds a connection that was accepted. Its upgrade is awaited.
func (f *life) opened(c *Conn) {
	l := f.loop
	c.index = uint32(len(f.conns))
	f.conns = append(f.conns, c)
	c.deadline = l.engine.tick() + ticks(l.engine.cfg.HandshakeTimeout)
	l.timers.schedule(c)
	if l.engine.stopping.Load() {
		f.hangUp(c)
	}
}

// upgraded sends the answer to the upgrade, and then does what the handler asked for meanwhile.
func (f *life) upgraded(c *Conn, e *event) {
	l := f.loop
	if e.arg.(bool) {
		c.flags |= fJudged
	}
	if c.state == stGone {
		return
	}
	c.outOf().rest = e.data
	c.deadline = 0
	if e.code != 101 {
		if e.code < 400 {
			l.stats.Files++
		} else {
			l.stats.Refused++
		}
		c.state = stClosing
		l.engine.gate.closes(c)
		c.side = nil
		c.signs.setDeaf()
		c.deadline = l.engine.tick() + ticks(closeWait)
		l.timers.schedule(c)
		l.send.flush(c)
		return
	}
	c.state = stOpen
	l.stats.Upgraded++
	if c.stream != streamNot {
		l.stats.Streams++
		l.streamTimeout(c)
	}
	l.timers.schedule(c)
	if c.side == nil {
		l.send.flush(c)
		return
	}
	// The answer and the first replies go out together.
	l.ready.add(c)
	l.resumeSide(c)
}

// authenticated begins to ping the client.
func (f *life) authenticated(c *Conn, positions bool) {
	l := f.loop
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
	if c.pingAt == 0 {
		c.pingAt = l.pings.first()
	}
	l.timers.schedule(c)
	l.measure(c)
}

// reply sends whole frames after those that already wait.
func (f *life) reply(c *Conn, frames []byte) {
	if c.state == stOpen && f.offer(c, frames) {
		f.loop.owed.add(c)
	}
}

// offer is enqueue for a client that asks a lot at once and does read. Its answers have not been
// offered to the kernel yet, so only what the kernel does not take counts against it.
func (f *life) offer(c *Conn, frames []byte) bool {
	if o := c.out; o != nil && o.wouldOverflow(frames) {
		c.flags |= fSent // the first join is no longer a reason to hold back
		f.loop.send.flush(c)
	}
	return c.state == stOpen && f.enqueue(c, frames)
}

// enqueue adds whole frames to those that wait. It returns false if too much waits already: the
// connection is then being closed.
func (f *life) enqueue(c *Conn, frames []byte) bool {
	o := c.outOf()
	frames = f.loop.said(c, frames)
	if o.wouldOverflow(frames) {
		f.close(c, wire.ClosePolicy, []byte(noReadReason))
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
func (f *life) pong(c *Conn, pongs []byte) {
	if c.state != stOpen || len(pongs) == 0 {
		return
	}
	o := c.outOf()
	if len(o.pong)+len(pongs) > maxPongs {
		o.pong = pongs // RFC 6455, 5.5.3: the latest are enough
	} else {
		o.pong = append(o.pong, pongs...)
	}
	f.loop.owed.add(c)
}

// close begins the closing handshake: no more frames of rooms, then the close frame, then the end.
func (f *life) close(c *Conn, code uint16, reason []byte) {
	l := f.loop
	if c.state != stOpen {
		return
	}
	c.state, c.code = stClosing, code
	c.signs.setDeaf()
	l.engine.gate.closes(c)
	c.dropSide()
	c.leaveAll()
	o := c.outOf()
	o.pong, o.ping = nil, nil
	if o.close = wire.CloseFrame(code, reason); c.stream != streamNot {
		o.close = wire.AppendCloseEvent(nil, code, reason)
	}
	c.deadline = l.engine.tick() + ticks(closeWait)
	c.pingAt, c.timerAt = 0, 0
	l.timers.schedule(c)
	l.owed.add(c)
	c.sock.Resume() // further input is discarded
}

// peerClosed answers a close frame with one, or ends the connection if we closed first.
func (f *life) peerClosed(c *Conn, code uint16) {
	switch {
	case c.state == stOpen:
		f.close(c, code, nil)
	case c.state == stClosing && c.is(fEnding):
		f.hangUp(c)
	}
}

// endWrite is called when the last byte has been sent, that of the close frame.
func (f *life) endWrite(c *Conn) {
	l := f.loop
	if c.is(fEnding) || c.secure != nil && !l.send.goodbye(c) {
		return
	}
	c.flags |= fEnding
	c.sock.Control(func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) })
	c.deadline = l.engine.tick() + ticks(lingerWait)
	l.timers.schedule(c)
}

// overdue is called when a connection has missed its deadline.
func (f *life) overdue(c *Conn) {
	l := f.loop
	switch {
	case c.state == stOpen:
		l.pings.unanswered(c)
	case c.state == stNew:
		l.stats.HandshakeTimeouts++
		f.hangUp(c)
	case c.state == stClosing && !c.is(fEnding):
		l.stats.Resets++
		c.sock.Control(func(fd int) {
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		f.hangUp(c)
	case c.state == stClosing:
		f.hangUp(c)
	}
}

// hangUp ends a connection at once. The poller sees the end of the input, closes the descriptor and
// posts evGone. Only the poller closes a descriptor, while it handles an event of it, so a late
// event can never reach another connection with the same number.
func (f *life) hangUp(c *Conn) {
	l := f.loop
	if c.state == stGone {
		return
	}
	c.state = stGone
	c.signs.setDeaf()
	c.dropSide()
	c.out = nil
	c.deadline, c.pingAt, c.timerAt = 0, 0, 0
	l.timers.wheel.remove(c)
	c.leaveAll()
	c.sock.ShutDown()
	c.sock.Resume()
}

// gone is called once the descriptor is closed: the last event of a connection.
func (f *life) gone(c *Conn) {
	l := f.loop
	f.hangUp(c)
	delete(l.send.blocked, c.id)
	last := f.conns[len(f.conns)-1]
	f.conns[c.index] = last
	last.index = c.index
	f.conns[len(f.conns)-1] = nil
	f.conns = f.conns[:len(f.conns)-1]
	if c.is(fAuthenticated) {
		l.stats.Authenticated--
	}
	if c.code == 0 {
		c.code = wire.CloseNone
	}
	l.stats.closed(c.code)
	if c.is(fJudged) {
		l.handler.Closed(c, int(c.code))
	}
	if c.held() > 0 {
		c.letGo()
	}
	l.engine.gate.leave(c)
	l.engine.conns.Add(-1)
}
