package wsread

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Reader is the read half of one connection. It finds messages and control frames in whatever
// pieces the socket delivers (RFC 6455 section 5). Its zero value is ready. Between messages it is
// eight bytes. Otherwise it also holds the incomplete frame or message, which grows only as bytes
// arrive: a header that announces a megabyte costs nothing.
//
// Only the goroutine that reads the connection may touch it.
type Reader struct{ part *partial }

// Events receives what Feed finds, in order. The slices are valid only during the call, and the
// receiver may overwrite them.
type Events interface {
	// Limits is called for each frame, since a message may change them.
	Limits() Limits
	// Admit is called once for each complete message, before anything is done with it. If it
	// returns false, the message is dropped.
	Admit() bool
	// Message is called for a complete text or binary message. Text is valid UTF-8.
	Message(op ws.OpCode, p []byte)
	// Fragment is called for a frame of n bytes that does not end its message.
	Fragment(n int)
	// Inflated is called for a message that was inflated, with its size before and after.
	Inflated(from, to int)
	Ping(p []byte)
	Pong(p []byte)
	// Closed is called for the peer's close frame, with the code to echo, or 1005 if there was
	// none. Nothing follows it.
	Closed(code ws.StatusCode, reason []byte)
}

// partial is what has not all come: a header, a frame, a fragmented message, or a control frame
// between its fragments.
type partial struct {
	head  [ws.MaxHeaderSize]byte // bytes of the next frame's header
	nhead uint8

	frame    bool      // h is a frame whose payload has not all come
	op       ws.OpCode // of the fragmented message; 0: none is open
	deflated bool      // that message is
	text     utf8Check // of the text message, up to the last byte that came

	h    ws.Header
	got  int    // payload bytes of h that have come
	data []byte // the message so far, unmasked
	ctl  []byte // the control frame so far, unmasked
}

// ended marks a reader that has seen a fault or a close frame.
var ended = new(partial)

// End frees what the Reader holds, and makes it discard all input from now on. It may be called
// from within Events.
func (r *Reader) End() { r.part = ended }

// Held returns the memory of an incomplete message.
func (r *Reader) Held() int {
	if r.part == nil {
		return 0
	}
	return cap(r.part.data)
}

// Limits bounds what a client may send.
type Limits struct {
	Message int  // bytes of a message, deflated or not
	Deflate bool // permessage-deflate was agreed on
}

// Feed consumes b and unmasks it in place. What lies completely in b is passed on without a copy. A
// protocol fault gives the close code to send (1002, 1007, 1009) and a short reason. A fault, a
// close frame and End are final: Feed discards all later input. How the input was cut changes
// neither events nor faults.
func (r *Reader) Feed(b []byte, on Events) (fault ws.StatusCode, reason string) {
	if fault, reason = r.feed(b, on); fault != 0 {
		r.End()
	}
	return fault, reason
}

func (r *Reader) feed(b []byte, on Events) (fault ws.StatusCode, reason string) {
	for len(b) > 0 && r.part != ended {
		lim := on.Limits()
		if r.part == nil {
			var n int
			if n, fault, reason = r.whole(b, lim, on); fault != 0 {
				return fault, reason
			}
			if n > 0 {
				b = b[n:]
				continue
			}
			r.part = new(partial)
		}
		p := r.part
		if !p.frame {
			n := copy(p.head[p.nhead:], b)
			h, size, fault, reason := readHeader(p.head[:int(p.nhead)+n], p, lim)
			if fault != 0 || size == 0 {
				p.nhead += uint8(n)
				return fault, reason
			}
			b = b[size-int(p.nhead):]
			p.h, p.got, p.frame, p.nhead = h, 0, true, 0
		}
		n := int(min(p.h.Length-int64(p.got), int64(len(b))))
		if fault, reason = r.payload(b[:n], lim, on); fault != 0 {
			return fault, reason
		}
		b = b[n:]
	}
	return 0, ""
}

// whole handles a frame that lies completely in b and is a whole message or a control frame, with
// nothing else pending. Nearly all are. n is how many bytes it used, or 0 if the frame is not of
// that kind.
func (r *Reader) whole(b []byte, lim Limits, on Events) (n int, fault ws.StatusCode, reason string) {
	h, size, fault, reason := readHeader(b, nil, lim)
	if size == 0 || !h.Fin || h.Length > int64(len(b)-size) {
		return 0, fault, reason
	}
	n = size + int(h.Length)
	p := b[size:n]
	ws.Cipher(p, h.Mask, 0)
	if h.OpCode.IsControl() {
		fault, reason = r.control(h.OpCode, p, on)
		return n, fault, reason
	}
	if !on.Admit() {
		return n, 0, ""
	}
	if h.Rsv1() {
		fault, reason = inflated(h.OpCode, p, lim.Message, on)
		return n, fault, reason
	}
	if h.OpCode == ws.OpText && !utf8.Valid(p) {
		return n, ws.StatusInvalidFramePayloadData, reasonUTF8
	}
	on.Message(h.OpCode, p)
	return n, 0, ""
}

// payload takes the next bytes of the frame p.h, and handles the frame when they complete it.
func (r *Reader) payload(b []byte, lim Limits, on Events) (fault ws.StatusCode, reason string) {
	p := r.part
	ws.Cipher(b, p.h.Mask, p.got)
	p.got += len(b)
	last := int64(p.got) == p.h.Length

	if op := p.h.OpCode; op.IsControl() {
		if !last || len(p.ctl) > 0 {
			p.ctl = append(p.ctl, b...)
			b = p.ctl
		}
		if !last {
			return 0, ""
		}
		p.frame, p.ctl = false, nil
		if p.op == 0 {
			r.part = nil
		}
		return r.control(op, b, on)
	}

	if p.h.OpCode != ws.OpContinuation {
		p.op, p.deflated = p.h.OpCode, p.h.Rsv1()
	}
	if p.op == ws.OpText && !p.deflated {
		if !p.text.push(b) || last && p.h.Fin && !p.text.done() {
			return ws.StatusInvalidFramePayloadData, reasonUTF8
		}
	}
	if last && p.h.Fin {
		if len(p.data) > 0 {
			b = append(p.data, b...)
		}
		r.part = nil
		if !on.Admit() {
			return 0, ""
		}
		if p.deflated {
			return inflated(p.op, b, lim.Message, on)
		}
		on.Message(p.op, b)
		return 0, ""
	}
	p.data = append(p.data, b...)
	if p.frame = !last; last {
		on.Fragment(int(p.h.Length))
	}
	return 0, ""
}

// control handles one complete control frame.
func (r *Reader) control(op ws.OpCode, p []byte, on Events) (fault ws.StatusCode, reason string) {
	switch op {
	case ws.OpPing:
		on.Ping(p)
	case ws.OpPong:
		on.Pong(p)
	default:
		code := ws.StatusNoStatusRcvd
		switch {
		case len(p) == 1:
			return ws.StatusProtocolError, "close payload of one byte"
		case len(p) > 1:
			code = ws.StatusCode(binary.BigEndian.Uint16(p))
			if p = p[2:]; !validClose(code) {
				return ws.StatusProtocolError, "close code may not be sent"
			}
			if !utf8.Valid(p) {
				return ws.StatusInvalidFramePayloadData, "close reason is not UTF-8"
			}
		}
		r.End()
		on.Closed(code, p)
	}
	return 0, ""
}
