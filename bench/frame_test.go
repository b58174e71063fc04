package bench

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	f := func(b string, want header, fault string) {
		t.Helper()
		h, err := parseHeader([]byte(b))
		if fault == "" && (err != nil || h != want) {
			t.Fatalf("parseHeader(% x) = %+v, %v; want %+v", b, h, err, want)
		}
		if fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Fatalf("parseHeader(% x) = %+v, %v; want an error with %q", b, h, err, fault)
		}
	}
	f("", header{}, "")
	f("\x81", header{}, "")
	f("\x81\x00", header{op: opText, size: 2}, "")
	f("\x82\x7d", header{op: opBinary, size: 2, length: 125}, "")
	f("\x81\x7e\x00", header{}, "")
	f("\x81\x7e\x00\x7e", header{op: opText, size: 4, length: 126}, "")
	f("\x82\x7e\xff\xff", header{op: opBinary, size: 4, length: 65535}, "")
	f("\x81\x7f\x00\x00\x00\x00\x00\x01\x00", header{}, "")
	f("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", header{op: opText, size: 10, length: 65536}, "")
	f("\x88\x02", header{op: opClose, size: 2, length: 2}, "")
	f("\x89\x7d", header{op: opPing, size: 2, length: 125}, "")
	f("\x8a\x00", header{op: opPong, size: 2}, "")
	f("\x81\x7e\x00\x7d", header{}, "long form")
	f("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", header{}, "longest form")
	f("\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", header{}, "longest form")
	f("\x01\x05", header{}, "fragment")
	f("\x80\x05", header{}, "opcode 0")
	f("\xc1\x05", header{}, "reserved")
	f("\x83\x05", header{}, "opcode 3")
	f("\x8b\x05", header{}, "opcode 11")
	f("\x81\x85", header{}, "masked")
	f("\x81\xfe", header{}, "masked")
	f("\x89\x7e\x00\x7e", header{}, "control")
	f("\x88\x7e", header{}, "control")
	f("{\"", header{}, "fragment")
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{"\x81\x05hello", "\x82\x7e\x00\x80", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", "\x88\x02\x03\xe8"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil || h.size == 0 {
			return
		}
		if h.size > len(b) {
			t.Fatalf("a header of %d bytes in %d", h.size, len(b))
		}
		// What was accepted is exactly what a server would write.
		if h.length < 1<<20 {
			if w := appendServerFrame(nil, h.op, make([]byte, h.length)); !bytes.Equal(w[:h.size], b[:h.size]) {
				t.Fatalf("% x read as %+v, written as % x", b[:h.size], h, w[:h.size])
			}
		}
	})
}

func TestAppendFrame(t *testing.T) {
	f := func(n int, want int) {
		t.Helper()
		p := bytes.Repeat([]byte{'a'}, n)
		b := appendFrame(nil, opText, p, [4]byte{1, 2, 3, 4})
		if len(b) != want || b[1]&0x80 == 0 {
			t.Fatalf("a frame of %d bytes for %d", len(b), n)
		}
		for i, c := range b[len(b)-n:] {
			if c != 'a'^byte(1+i%4) {
				t.Fatalf("byte %d is %x", i, c)
			}
		}
	}
	f(0, 6)
	f(5, 11)
	f(125, 131)
	f(126, 134)
	f(65535, 65535+8)
}
