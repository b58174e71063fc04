package loop

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// maxNotice is where a `positions` notice is cut, and goes on in another.
const maxNotice = 16 << 10

// heartbeats keep quiet connections alive, and find those whose clients are gone.
type heartbeats struct {
	loop    *Loop
	scratch []byte // for a text that answer copies
}

// first is when a connection has its first one: drawn at random, so that connections
// which came together have theirs at different times.
func (h *heartbeats) first() tick {
	every := h.loop.engine.cfg.PingEvery
	return h.loop.engine.tick() + 1 + ticks(rand.N(every))
}

// send sends a heartbeat: the positions of the rooms that were quiet since the
// last one, or a ping where the client does not want them.
func (h *heartbeats) send(c *Conn) {
	l := h.loop
	if c.is(fHeld) { // the client has yet to be told of rooms that it is a member of
		c.heartbeatAt = l.timers.wheel.at + 1
		return
	}
	c.heartbeatAt = l.timers.wheel.at + ticks(l.engine.cfg.PingEvery)
	if !c.is(fPositions) {
		h.ping(c)
		return
	}
	busy := c.is(fSent)
	c.flags &^= fSent
	text, n := h.quietRooms(c)
	if text != nil && (n > 0 || !busy) { // else the data was the heartbeat
		l.answer(c, text)
		h.scratch = text
	}
}

// quietRooms is the `positions` notice of the rooms that were quiet and are level, and of
// wildcards, whether they were or not. A room's positions are read before its head: see
// rooms' publish.
func (h *heartbeats) quietRooms(c *Conn) (text []byte, n int) {
	l := h.loop
	text = append(h.scratch[:0], wire.PositionsHead...)
	add := func(name string, p rooms.Positions) {
		if len(text) > maxNotice {
			l.answer(c, wire.EndPositions(text))
			text = append(text[:0], wire.PositionsHead...)
		}
		text = wire.AppendPositionsOf(text, name, p)
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
			continue // it hears of that first
		}
		p := l.rules.Position(t, x)
		if p.Epoch == "" || t.At() != r.Head() {
			continue
		}
		if add(r.Name(), p); c.state != stOpen {
			return nil, n
		}
	}
	if c.extras == nil {
		return wire.EndPositions(text), n
	}
	for _, w := range c.extras.wildcards {
		if w.advance(l, c); w.at.Epoch == "" {
			continue
		}
		if add(w.ref.Name, w.at); c.state != stOpen {
			return nil, n
		}
	}
	return wire.EndPositions(text), n
}

// stood is how many ticks a loop must have missed to have stood: with the machine, or its
// process (SIGSTOP). A turn takes a few milliseconds.
const stood = 5

// ping sends a WebSocket ping. The first that nothing has come after is the one from which
// on a client counts as silent.
func (h *heartbeats) ping(c *Conn) {
	l := h.loop
	if c.pinged == 0 || c.answered() {
		c.pinged = l.engine.tick()
		c.deadline = c.pinged + ticks(l.engine.cfg.PongTimeout)
	}
	c.outOf().ping = pingFrame
	l.owed.add(c)
}

// answered reports whether anything has come since the ping was sent, in the same tick
// perhaps.
func (c *Conn) answered() bool { return tick(c.heard.Load()) >= c.pinged }

// unanswered ends a connection that has said nothing since it was pinged: not even a
// pong. Time in which this loop stood is not its silence, and what the kernel has of it
// and no poller has read yet is an answer.
func (h *heartbeats) unanswered(c *Conn) {
	l := h.loop
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

// saysMore reports whether the socket has input that was not read.
func (c *Conn) saysMore() (more bool) {
	c.sock.Control(func(fd int) {
		var b [1]byte
		n, _, _ := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		more = n > 0
	})
	return more
}
