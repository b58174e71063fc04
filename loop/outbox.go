package loop

import "tapecast/rooms"

// outbox holds what waits to be sent besides the tapes, in this order. It
// exists only while something waits.
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

// wouldOverflow says whether too much waits for frames to be added. One reply,
// however long, may always wait; so may what is left of one that is half sent.
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

// sent takes the first n bytes off what waits up to the tapes' frames, and
// returns how many of them are left over for those.
func (o *outbox) sent(n int) int {
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
	at := 0
	for at < n {
		at += frameLen(o.replies[at:])
	}
	if at > n {
		o.rest = o.replies[n:at]
	}
	o.replies = o.replies[at:]
	return 0
}

// sentClose takes n bytes off the close frame.
func (o *outbox) sentClose(n int) { o.takeFrame(&o.close, n) }

// takeFrame takes n bytes off whole frames; what that leaves of them is the rest
// that goes before everything.
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

// frameLen is the length of the server frame that b begins with.
func frameLen(b []byte) int {
	switch n := int(b[1] & 0x7f); n {
	case 126:
		return 4 + int(b[2])<<8 + int(b[3])
	case 127:
		n = 0
		for _, x := range b[2:10] {
			n = n<<8 | int(x)
		}
		return 10 + n
	default:
		return 2 + n
	}
}

const (
	opClose = 8
	opPing  = 9
	opPong  = 10
)

var pingFrame = rooms.AppendFrame(nil, opPing, nil)

// closeFrame is the frame for a code, without one for 0 and 1005. A reason is cut to
// the 123 bytes that a control frame has left, at a character's border.
func closeFrame(code uint16, reason []byte) []byte {
	if code == 0 || code == codeNoStatus {
		return rooms.AppendFrame(nil, opClose, nil)
	}
	if len(reason) > 123 {
		end := 123
		for end > 0 && reason[end]&0xc0 == 0x80 {
			end--
		}
		reason = reason[:end]
	}
	return rooms.AppendFrame(nil, opClose, append([]byte{byte(code >> 8), byte(code)}, reason...))
}
