package loop

import (
	"math/rand/v2"
	"time"

	"tapecast/rooms"
)

// maxNotice is where a `positions` notice is cut, and goes on in another.
const maxNotice = 16 << 10

// firstBeat is drawn by lot, so that connections which came together do not
// beat together.
func (l *Loop) firstBeat() tick {
	every := l.engine.cfg.PingEvery
	return l.tickNow() + 1 + ticks(rand.N(every))
}

// beat is the heartbeat: the positions of the rooms that were quiet since the
// last one, or a ping where the client does not want them.
func (l *Loop) beat(c *Conn) {
	if c.is(fHeld) { // the client has yet to be told of rooms that it has seats in
		c.beatAt = l.wheel.at + 1
		return
	}
	c.beatAt = l.wheel.at + ticks(l.engine.cfg.PingEvery)
	if !c.is(fPositions) {
		l.ping(c)
		return
	}
	busy := c.is(fSent)
	c.flags &^= fSent
	text, n := l.quietRooms(c)
	if text != nil && (n > 0 || !busy) { // else the data was the heartbeat
		l.answer(c, text)
		l.scratch = text
	}
}

// quietRooms is the `positions` notice of the rooms that were quiet and are
// level. A room's positions are read before its head: see rooms' publish.
func (l *Loop) quietRooms(c *Conn) (text []byte, n int) {
	const head = `{"jsonrpc":"2.0","method":"positions","params":{`
	text = append(l.scratch[:0], head...)
	for i := range c.seats {
		t := &c.seats[i]
		r := t.sub.Room()
		if quiet := t.quiet; !quiet {
			t.quiet = true
			continue
		}
		p := l.positions(c, t)
		if p.Epoch == "" || t.at != r.Head() {
			continue
		}
		if len(text) > maxNotice {
			l.answer(c, append(text, "}}"...))
			if c.state != stOpen {
				return nil, n
			}
			text = append(text[:0], head...)
		}
		if len(text) > len(head) {
			text = append(text, ',')
		}
		text = rooms.AppendString(text, r.Name())
		text = append(text, ':')
		text = p.AppendJSON(text)
		n++
	}
	return append(text, "}}"...), n
}

// ping sends a WebSocket ping, or ends a connection that has said nothing for
// too long: not even a pong.
func (l *Loop) ping(c *Conn) {
	silent := time.Duration(l.wheel.at-tick(c.heard.Load())) * tickLen
	if silent > l.engine.cfg.PongTimeout {
		l.stats.PongTimeouts++
		l.hangUp(c)
		return
	}
	c.outOf().ping = pingFrame
	l.owed.add(c)
}
