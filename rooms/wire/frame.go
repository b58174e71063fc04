package wire

// Opcodes of the frames that a gateway sends (RFC 6455, 11.8).
const (
	OpText   = 1
	OpBinary = 2
	OpClose  = 8
	OpPing   = 9
	OpPong   = 10
)

// Deflated marks a deflated message in a frame's first byte (RFC 7692, 6). It is added to
// the opcode.
const Deflated = 0x40

// maxReason is how long the reason in a close frame may be, in bytes (RFC 6455, 5.5).
const maxReason = 123

// AppendFrame appends one unfragmented, unmasked frame, as a server sends it
// (RFC 6455, 5.2).
func AppendFrame(dst []byte, op byte, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// TextFrame returns the frame of one text message.
func TextFrame(text []byte) []byte {
	return AppendFrame(make([]byte, 0, len(text)+maxHeader), OpText, text)
}

const maxHeader = 10

// AppendHeader appends the header of a frame with n bytes of payload.
func AppendHeader(dst []byte, op byte, n int) []byte {
	dst = append(dst, 0x80|op)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 126, byte(n>>8), byte(n))
	default:
		u := uint64(n)
		return append(dst, 127, byte(u>>56), byte(u>>48), byte(u>>40), byte(u>>32),
			byte(u>>24), byte(u>>16), byte(u>>8), byte(u))
	}
}

// HeaderSize returns the length of the header that AppendHeader appends for n bytes of payload.
func HeaderSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	default:
		return maxHeader
	}
}

// HeaderLen returns the length of the header that a frame begins with.
func HeaderLen(frame []byte) int {
	switch frame[1] & 0x7f {
	case 126:
		return 4
	case 127:
		return maxHeader
	}
	return 2
}

// FrameLen returns the length of the frame that b begins with. b must hold its whole header.
func FrameLen(b []byte) int {
	switch n := int(b[1] & 0x7f); n {
	case 126:
		return 4 + int(b[2])<<8 + int(b[3])
	case 127:
		n = 0
		for _, x := range b[2:maxHeader] {
			n = n<<8 | int(x)
		}
		return maxHeader + n
	default:
		return 2 + n
	}
}

// CloseFrame returns a close frame. It has no code if the code is 0 or CloseNoStatus. A reason that
// is too long is cut between two characters.
func CloseFrame(code uint16, reason []byte) []byte {
	if code == 0 || code == CloseNoStatus {
		return AppendFrame(nil, OpClose, nil)
	}
	if len(reason) > maxReason {
		end := maxReason
		for end > 0 && reason[end]&0xc0 == 0x80 {
			end--
		}
		reason = reason[:end]
	}
	return AppendFrame(nil, OpClose, append([]byte{byte(code >> 8), byte(code)}, reason...))
}
