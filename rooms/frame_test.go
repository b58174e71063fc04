package rooms

import (
	"encoding/binary"
	"testing"
)

// readFrame reads one frame as a client would; rest is what follows it.
func readFrame(t testing.TB, b []byte) (op byte, payload, rest []byte) {
	t.Helper()
	if len(b) < 2 || b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
		t.Fatalf("no whole, unmasked frame begins with % x", b[:min(len(b), 8)])
	}
	n, at := uint64(b[1]), 2
	switch n {
	case 126:
		n, at = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		n, at = binary.BigEndian.Uint64(b[2:]), 10
	}
	if uint64(len(b)-at) < n {
		t.Fatalf("a frame of %d bytes has %d", n, len(b)-at)
	}
	return b[0] & 15, b[at : at+int(n)], b[at+int(n):]
}
