package wsread

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	reasonUTF8    = "text is not UTF-8"
	reasonMinimal = "payload length not in its shortest form"
	reasonTooBig  = "message too big"
)

// readHeader reads the frame header at the start of b and checks it as far as its bytes have come:
// the first two before the length, the length before the mask. size is the size of the header, or 0
// while b lacks some of it. p is what is pending, or nil. See RFC 6455 section 5.2.
func readHeader(b []byte, p *partial, lim Limits) (h ws.Header, size int, fault ws.StatusCode, reason string) {
	if len(b) < 2 {
		return h, 0, 0, ""
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 0x7
	h.OpCode = ws.OpCode(b[0] & 0xF)
	h.Masked = b[1]&0x80 != 0
	h.Length = int64(b[1] & 0x7F)

	state, room := ws.StateServerSide, int64(lim.Message)
	if p != nil {
		if p.op != 0 {
			state = state.Set(ws.StateFragmented)
		}
		room -= int64(len(p.data))
	}
	// 126 and 127 stand for a longer length field, and are already too much for a control frame.
	if lim.Deflate {
		state = state.Set(ws.StateExtended)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, ws.StatusProtocolError, err.Error()
	}
	// Only the first frame of a message may say that it is deflated (RFC 7692, 6).
	if h.Rsv2() || h.Rsv3() || h.Rsv1() && !(h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		return h, 0, ws.StatusProtocolError, ws.ErrProtocolNonZeroRsv.Error()
	}

	size = ws.MinHeaderSize + len(h.Mask)
	switch h.Length {
	case 126:
		if len(b) < 4 {
			return h, 0, 0, ""
		}
		size += 2
		if h.Length = int64(binary.BigEndian.Uint16(b[2:])); h.Length < 126 {
			return h, 0, ws.StatusProtocolError, reasonMinimal
		}
	case 127:
		if len(b) < 10 {
			return h, 0, 0, ""
		}
		size += 8
		switch h.Length = int64(binary.BigEndian.Uint64(b[2:])); {
		case h.Length < 0:
			return h, 0, ws.StatusProtocolError, "payload length with its highest bit set"
		case h.Length < 1<<16:
			return h, 0, ws.StatusProtocolError, reasonMinimal
		}
	}
	if h.OpCode.IsData() && h.Length > room {
		return h, 0, ws.StatusMessageTooBig, reasonTooBig
	}
	if len(b) < size {
		return h, 0, 0, ""
	}
	copy(h.Mask[:], b[size-len(h.Mask):])
	return h, size, 0, ""
}

// validClose reports whether a peer may send the code. RFC 6455 section 7.4 defines some for the
// wire. IANA has registered 1012 to 1014 since, which ws.CheckCloseFrameData does not know. 3000 to
// 4999 are free for applications.
func validClose(code ws.StatusCode) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 ||
		code.IsApplicationSpec() || code.IsPrivateSpec()
}

// utf8Check validates UTF-8 that arrives in pieces, cut anywhere. Its zero value is at the start of
// a text. It fails at the first byte that cannot continue the text (RFC 3629, section 4), and not
// at the end of the rune, so that a bad client is told at once.
type utf8Check struct {
	cut [utf8.UTFMax]byte // the rune in progress
	n   uint8             // bytes of it that have come
}

// push takes the next piece. It returns false if the text so far cannot become valid. The check
// must not be used further then.
func (c *utf8Check) push(b []byte) bool {
	for c.n > 0 && len(b) > 0 {
		c.cut[c.n] = b[0]
		c.n++
		b = b[1:]
		if r := c.cut[:c.n]; utf8.FullRune(r) { // it is complete, or bad
			if !utf8.Valid(r) {
				return false
			}
			c.n = 0
		}
	}
	whole := len(b)
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				whole = i
			}
			break
		}
	}
	if whole < len(b) {
		c.n = uint8(copy(c.cut[:], b[whole:]))
	}
	return utf8.Valid(b[:whole])
}

// done reports whether the text may end here.
func (c *utf8Check) done() bool { return c.n == 0 }
