package proto

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Opcodes of RFC 6455, 11.8.
const (
	OpText   = 1
	OpBinary = 2
	OpClose  = 8
	OpPing   = 9
	OpPong   = 10
)

// Header is the header of a frame as a server sends it (RFC 6455, 5.2).
type Header struct {
	Op     byte
	Small  bool // the payload is deflated (RFC 7692)
	Size   int  // of the header itself; 0: more bytes are needed
	Length int  // of the payload
}

// Rsv1 marks a deflated message in a frame's first byte (RFC 7692, 6).
const Rsv1 = 0x40

// ParseDeflated is ParseHeader for a client that agreed on permessage-deflate.
func ParseDeflated(b []byte) (Header, error) {
	if len(b) == 0 || b[0]&^0x43 != 0x80 || b[0]&Rsv1 == 0 {
		return ParseHeader(b)
	}
	var plain [10]byte
	n := copy(plain[:], b)
	plain[0] &^= Rsv1
	h, err := ParseHeader(plain[:n])
	h.Small = true
	return h, err
}

// ParseHeader parses the header at the start of b. What a server must not send is an
// error: reserved bits or opcodes, a mask, a length that fits a shorter form, a long or
// fragmented control frame. A fragment of a data message is an error too. No server that
// is measured sends any, so a fragment is most likely the middle of a torn frame.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < 2 {
		return Header{}, nil
	}
	b0, b1 := b[0], b[1]
	// The common case: a whole text or binary frame of 126 B to 64 KiB.
	if b1 == 126 && b0-0x81 <= 1 && len(b) >= 4 {
		if n := int(b[2])<<8 | int(b[3]); n >= 126 {
			return Header{Op: b0 & 15, Size: 4, Length: n}, nil
		}
	}
	return parseHeaderSlow(b)
}

func parseHeaderSlow(b []byte) (Header, error) {
	b0, b1 := b[0], b[1]
	op := b0 & 15
	switch {
	case b0&0x80 == 0:
		return Header{}, fmt.Errorf("a fragment (first bytes % x)", Head(b))
	case b0&0x70 != 0:
		return Header{}, fmt.Errorf("reserved bits are set (first bytes % x)", Head(b))
	case op != OpText && op != OpBinary && (op < OpClose || op > OpPong):
		return Header{}, fmt.Errorf("opcode %d is not allowed here (first bytes % x)", op, Head(b))
	case b1&0x80 != 0:
		return Header{}, fmt.Errorf("a masked frame (first bytes % x)", Head(b))
	case op >= OpClose && b1 > 125:
		return Header{}, fmt.Errorf("a control frame longer than 125 bytes (first bytes % x)", Head(b))
	case b1 < 126:
		return Header{Op: op, Size: 2, Length: int(b1)}, nil
	case b1 == 126:
		if len(b) < 4 {
			return Header{}, nil
		}
		n := int(b[2])<<8 | int(b[3])
		if n < 126 {
			return Header{}, fmt.Errorf("length %d in the long form (first bytes % x)", n, Head(b))
		}
		return Header{Op: op, Size: 4, Length: n}, nil
	}
	if len(b) < 10 {
		return Header{}, nil
	}
	var n uint64
	for _, c := range b[2:10] {
		n = n<<8 | uint64(c)
	}
	if n < 1<<16 || n > 1<<40 {
		return Header{}, fmt.Errorf("length %d in the longest form (first bytes % x)", n, Head(b))
	}
	return Header{Op: op, Size: 10, Length: int(n)}, nil
}

// Head returns the start of b, as much as an error text shows.
func Head(b []byte) []byte { return b[:min(len(b), 16)] }

// AppendFrame appends one frame as a client sends it, masked with a random key (RFC 6455, 5.3).
func AppendFrame(dst []byte, op byte, p []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		panic(fmt.Sprintf("BUG: a client message of %d bytes", n))
	}
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, rand.Uint32())
	for i, c := range p {
		dst = append(dst, c^dst[at+i&3])
	}
	return dst
}

// Normal is the payload of a close frame with code 1000.
var Normal = []byte{1000 >> 8, 1000 & 255}

// FrameOverhead returns the length of a server frame's header.
func FrameOverhead(payload int) int64 {
	switch {
	case payload < 126:
		return 2
	case payload < 1<<16:
		return 4
	}
	return 10
}
