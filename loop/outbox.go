package loop

import "tapecast/rooms/wire"

// outbox holds what waits to be sent besides frames of rooms, in this order. It exists only while
// something waits.
type outbox struct {
	rest    []byte // of a frame that is half sent: nothing goes before it
	pong    []byte // whole frames
	ping    []byte
	replies []byte // whole frames, in the order they were made
	close   []byte // nothing goes after it
}

func (o *outbox) empty() bool {
	return len(o.rest)+len(o.pong)+len(o.ping)+len(o.replies)+len(o.close) == 0
}

// wouldOverflow reports whether too much waits for frames to be added. One reply may always wait,
// however long. So may the rest of a frame that is half sent.
func (o *outbox) wouldOverflow(frames []byte) bool {
	return len(o.replies) > 0 && len(o.replies)+len(frames) > maxReplies
}

func (c *Conn) outOf() *outbox {
	if c.out == nil {
		c.out = new(outbox)
	}
	return c.out
}

func (c *Conn) sideOf() *side {
	if c.side == nil {
		c.side = new(side)
	}
	return c.side
}

// sent removes the first n bytes of what is sent before the frames of rooms, and returns how many
// of the n are left for those frames.
func (o *outbox) sent(n int, stream streaming) int {
	if n = takeOff(&o.rest, n); len(o.rest) > 0 {
		return 0
	}
	for _, frame := range []*[]byte{&o.pong, &o.ping} {
		n = o.takeFrame(frame, n)
	}
	if n >= len(o.replies) {
		n -= len(o.replies)
		o.replies = nil
		return n
	}
	if stream != streamNot { // events go out in order, and nothing between them
		o.rest, o.replies = o.replies[n:], nil
		return 0
	}
	at := 0
	for at < n {
		at += wire.FrameLen(o.replies[at:])
	}
	if at > n {
		o.rest = o.replies[n:at]
	}
	o.replies = o.replies[at:]
	return 0
}

// sentClose removes n bytes of the close frame.
func (o *outbox) sentClose(n int) { o.takeFrame(&o.close, n) }

// takeFrame takes n bytes off whole frames. What is left of them becomes the rest, which goes
// before everything.
func (o *outbox) takeFrame(frame *[]byte, n int) int {
	if n == 0 || len(*frame) == 0 {
		return n
	}
	n = takeOff(frame, n)
	if len(*frame) > 0 {
		o.rest, *frame = *frame, nil
	}
	return n
}

func takeOff(b *[]byte, n int) (left int) {
	k := min(n, len(*b))
	if *b = (*b)[k:]; len(*b) == 0 {
		*b = nil
	}
	return n - k
}

var pingFrame = wire.AppendFrame(nil, wire.OpPing, nil)
