package loop

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// maxNotice is the size at which a `positions` notice is cut and continued in another.
const maxNotice = 16 << 10

// pings keep quiet connections alive and find those whose clients are gone. A ping is a `positions`
// notice, or a WebSocket ping if the client does not want those. A reader of events answers nothing, so
// that the kernel finds those that are gone (streamTimeout).
type pings struct {
	loop    *Loop
	scratch []byte // for text that answer copies
}

// first returns when a connection gets its first ping. It is random, so that connections which
// opened together get theirs at different times.
func (p *pings) first() tick {
	every := p.loop.engine.cfg.PingEvery
	return p.loop.engine.tick() + 1 + ticks(rand.N(every))
}

// send sends a ping: the positions of the rooms that were quiet since the last one, or a WebSocket
// ping.
func (p *pings) send(c *Conn) {
	l := p.loop
	if c.is(fHeld) { // the client does not know yet of all rooms that it is in
		c.pingAt = l.timers.wheel.at + 1
		return
	}
	c.pingAt = l.timers.wheel.at + ticks(l.engine.cfg.PingEvery)
	if !c.is(fPositions) {
		p.ping(c)
		return
	}
	busy := c.is(fSent)
	c.flags &^= fSent
	text, n := p.quietRooms(c)
	if text != nil && (n > 0 || !busy) { // otherwise the data was the ping
		l.answer(c, text)
		p.scratch = text
	}
}

// quietRooms returns the `positions` notice: the rooms that were quiet and are level, and all
// wildcards. n is how many entries it has. A room's positions are loaded before its head: see
// publish in package rooms.
func (p *pings) quietRooms(c *Conn) (text []byte, n int) {
	l := p.loop
	text = append(p.scratch[:0], wire.PositionsHead...)
	add := func(name string, at rooms.Positions) {
		if len(text) > maxNotice {
			l.answer(c, wire.EndPositions(text))
			text = append(text[:0], wire.PositionsHead...)
		}
		text = wire.AppendPositionsOf(text, name, at)
		n++
	}
	for i := range c.members {
		t := &c.members[i]
		r := t.Room()
		if quiet := t.Quiet; !quiet {
			t.Quiet = true
			continue
		}
		x := c.extra(t)
		if x != nil && x.Missing() {
			continue // the client is told of the gap first
		}
		at := l.rules.Position(t, x)
		if at.Epoch == "" || t.At() != r.Head() {
			continue
		}
		if add(r.Name(), at); c.state != stOpen {
			return nil, n
		}
	}
	if c.extras == nil {
		return wire.EndPositions(text), n
	}
	for _, w := range c.extras.wildcards {
		if w.advance(l); w.At.Epoch == "" {
			continue
		}
		if add(w.Name, w.At); c.state != stOpen {
			return nil, n
		}
	}
	return wire.EndPositions(text), n
}

// stood is how many missed ticks mean that the loop stood still, with the machine or its process
// (SIGSTOP). A turn takes a few milliseconds.
const stood = 5

// ping sends a WebSocket ping. The client counts as silent from the first unanswered ping on.
func (p *pings) ping(c *Conn) {
	l := p.loop
	if c.stream != streamNot {
		c.outOf().ping = []byte(wire.PingEvent)
		l.owed.add(c)
		return
	}
	if c.pinged == 0 || c.answered() {
		c.pinged = l.engine.tick()
		c.deadline = c.pinged + ticks(l.engine.cfg.PongTimeout)
	}
	c.outOf().ping = pingFrame
	l.owed.add(c)
}

// answered reports whether anything has come since the ping was sent. It may have come in the same
// tick.
func (c *Conn) answered() bool { return tick(c.heard.Load()) >= c.pinged }

// unanswered ends a connection that has sent nothing since it was pinged, not even a pong. Time in
// which this loop stood still does not count. Input that the kernel holds and no poller has read
// yet is an answer.
func (p *pings) unanswered(c *Conn) {
	l := p.loop
	due := max(c.pinged, l.timers.awake) + ticks(l.engine.cfg.PongTimeout)
	switch {
	case c.answered() || c.saysMore():
		c.pinged = 0
	case l.timers.wheel.at < due:
		c.deadline = due
	default:
		l.stats.PongTimeouts++
		l.life.hangUp(c)
	}
}

// saysMore reports whether the socket has unread input.
func (c *Conn) saysMore() (more bool) {
	c.sock.Control(func(fd int) {
		var b [1]byte
		n, _, _ := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		more = n > 0
	})
	return more
}
