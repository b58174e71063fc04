package bench

import "fmt"

// Opcodes of RFC 6455, 11.8.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// header is the header of a frame as a server sends it (RFC 6455, 5.2).
type header struct {
	op     byte
	small  bool // the payload is deflated (RFC 7692)
	size   int  // of the header itself; 0: more bytes are needed
	length int  // of the payload
}

// rsv1 marks a deflated message in a frame's first byte (RFC 7692, 6).
const rsv1 = 0x40

// parseDeflated is parseHeader for a client that agreed on permessage-deflate.
func parseDeflated(b []byte) (header, error) {
	if len(b) == 0 || b[0]&^0x43 != 0x80 || b[0]&rsv1 == 0 {
		return parseHeader(b)
	}
	var plain [10]byte
	n := copy(plain[:], b)
	plain[0] &^= rsv1
	h, err := parseHeader(plain[:n])
	h.small = true
	return h, err
}

// parseHeader reads the header at the start of b. Whatever a server must not
// send is an error: reserved bits or opcodes, a mask, a length that fits a
// shorter form, a long or fragmented control frame. So is a fragment of a data
// message: nothing that is measured here sends any, and one that turns up is
// most likely the middle of a torn frame.
func parseHeader(b []byte) (header, error) {
	if len(b) < 2 {
		return header{}, nil
	}
	b0, b1 := b[0], b[1]
	// The common case: a whole text or binary frame of 126 B to 64 KiB.
	if b1 == 126 && b0-0x81 <= 1 && len(b) >= 4 {
		if n := int(b[2])<<8 | int(b[3]); n >= 126 {
			return header{op: b0 & 15, size: 4, length: n}, nil
		}
	}
	return parseHeaderSlow(b)
}

func parseHeaderSlow(b []byte) (header, error) {
	b0, b1 := b[0], b[1]
	op := b0 & 15
	switch {
	case b0&0x80 == 0:
		return header{}, fmt.Errorf("a fragment (first bytes % x)", head(b))
	case b0&0x70 != 0:
		return header{}, fmt.Errorf("reserved bits are set (first bytes % x)", head(b))
	case op != opText && op != opBinary && (op < opClose || op > opPong):
		return header{}, fmt.Errorf("opcode %d has no meaning here (first bytes % x)", op, head(b))
	case b1&0x80 != 0:
		return header{}, fmt.Errorf("a masked frame (first bytes % x)", head(b))
	case op >= opClose && b1 > 125:
		return header{}, fmt.Errorf("a control frame longer than 125 bytes (first bytes % x)", head(b))
	case b1 < 126:
		return header{op: op, size: 2, length: int(b1)}, nil
	case b1 == 126:
		if len(b) < 4 {
			return header{}, nil
		}
		n := int(b[2])<<8 | int(b[3])
		if n < 126 {
			return header{}, fmt.Errorf("length %d in the long form (first bytes % x)", n, head(b))
		}
		return header{op: op, size: 4, length: n}, nil
	}
	if len(b) < 10 {
		return header{}, nil
	}
	var n uint64
	for _, c := range b[2:10] {
		n = n<<8 | uint64(c)
	}
	if n < 1<<16 || n > 1<<40 {
		return header{}, fmt.Errorf("length %d in the longest form (first bytes % x)", n, head(b))
	}
	return header{op: op, size: 10, length: int(n)}, nil
}

func head(b []byte) []byte { return b[:min(len(b), 16)] }

// appendFrame appends one frame as a client sends it: masked with key.
func appendFrame(dst []byte, op byte, p []byte, key [4]byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		panic(fmt.Sprintf("BUG: a client message of %d bytes", n))
	}
	dst = append(dst, key[:]...)
	for i, c := range p {
		dst = append(dst, c^key[i&3])
	}
	return dst
}

// appendServerFrame appends one frame as a server sends it.
func appendServerFrame(dst []byte, op byte, p []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 127, 0, 0, byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, p...)
}

// frameOverhead is the length of a server frame's header.
func frameOverhead(payload int) int64 {
	switch {
	case payload < 126:
		return 2
	case payload < 1<<16:
		return 4
	}
	return 10
}
