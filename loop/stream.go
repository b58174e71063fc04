package loop

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// A connection may read server-sent events instead of frames (package upgrade says how it asks for
// them). It is a member of its rooms like any other, but says nothing after its request: its input
// is discarded, and its handler's Message is never called. What waits in its outbox is made into
// events when it is put there, and frames of its rooms are when they are sent.

// streaming is the way in which a connection reads events, if it does.
type streaming uint8

const (
	streamNot    streaming = iota
	streamPlain            // events have no ids
	streamMarked           // it is in one room, and the ids of its events say where
)

// streams notes that the handler has granted a stream. It runs on the goroutine that reads.
func (c *Conn) streams(marked bool) {
	c.stream = streamPlain
	if marked {
		c.stream = streamMarked
	}
}

// streamTimeout makes the kernel end a connection whose client does not take its bytes: a reader of
// events answers no pings.
func (l *Loop) streamTimeout(c *Conn) {
	limit := l.engine.cfg.PingEvery + l.engine.cfg.PongTimeout
	c.sock.Control(func(fd int) {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit/time.Millisecond))
	})
}

var (
	positionsHead = []byte(wire.PositionsHead)
	replyHead     = wire.AppendReplyHead(nil)
)

// said returns frames as the connection's client reads them.
func (l *Loop) said(c *Conn, frames []byte) []byte {
	if c.stream == streamNot {
		return frames
	}
	if c.stream == streamMarked && len(c.members) == 1 && len(frames) == wire.FrameLen(frames) {
		text := frames[wire.HeaderLen(frames):]
		if bytes.HasPrefix(text, positionsHead) || bytes.HasPrefix(text, replyHead) {
			m := &c.members[0]
			return wire.AppendEvent(nil, l.rules.Position(m, c.extra(m)).AppendMark(nil), text)
		}
	}
	return wire.AppendEvents(nil, frames)
}

// makeEvents makes events of pieces that were cut for a member.
func (s *sender) makeEvents(c *Conn, m *member.Member, x *member.Extra, pieces []rooms.Piece) {
	var mark *rooms.Mark
	if c.stream == streamMarked {
		mark = &s.mark
		mark.Set(s.loop.rules.Mark(m, x))
	}
	for i := range pieces {
		pieces[i] = s.events.Piece(pieces[i], mark)
	}
}
