package proto

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	f := func(b string, want Header, fault string) {
		t.Helper()
		h, err := ParseHeader([]byte(b))
		if fault == "" && (err != nil || h != want) {
			t.Fatalf("parseHeader(% x) = %+v, %v; want %+v", b, h, err, want)
		}
		if fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Fatalf("parseHeader(% x) = %+v, %v; want an error with %q", b, h, err, fault)
		}
	}
	f("", Header{}, "")
	f("\x81", Header{}, "")
	f("\x81\x00", Header{Op: OpText, Size: 2}, "")
	f("\x82\x7d", Header{Op: OpBinary, Size: 2, Length: 125}, "")
	f("\x81\x7e\x00", Header{}, "")
	f("\x81\x7e\x00\x7e", Header{Op: OpText, Size: 4, Length: 126}, "")
	f("\x82\x7e\xff\xff", Header{Op: OpBinary, Size: 4, Length: 65535}, "")
	f("\x81\x7f\x00\x00\x00\x00\x00\x01\x00", Header{}, "")
	f("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", Header{Op: OpText, Size: 10, Length: 65536}, "")
	f("\x88\x02", Header{Op: OpClose, Size: 2, Length: 2}, "")
	f("\x89\x7d", Header{Op: OpPing, Size: 2, Length: 125}, "")
	f("\x8a\x00", Header{Op: OpPong, Size: 2}, "")
	f("\x81\x7e\x00\x7d", Header{}, "long form")
	f("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Header{}, "longest form")
	f("\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", Header{}, "longest form")
	f("\x01\x05", Header{}, "fragment")
	f("\x80\x05", Header{}, "opcode 0")
	f("\xc1\x05", Header{}, "reserved")
	f("\x83\x05", Header{}, "opcode 3")
	f("\x8b\x05", Header{}, "opcode 11")
	f("\x81\x85", Header{}, "masked")
	f("\x81\xfe", Header{}, "masked")
	f("\x89\x7e\x00\x7e", Header{}, "control")
	f("\x88\x7e", Header{}, "control")
	f("{\"", Header{}, "fragment")
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{"\x81\x05hello", "\x82\x7e\x00\x80", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
		"\x88\x02\x03\xe8"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil || h.Size == 0 {
			return
		}
		if h.Size > len(b) {
			t.Fatalf("a header of %d bytes in %d", h.Size, len(b))
		}
		// What was accepted is exactly what a server would write.
		if h.Length < 1<<20 {
			if w := AppendServerFrame(nil, h.Op, make([]byte, h.Length)); !bytes.Equal(w[:h.Size], b[:h.Size]) {
				t.Fatalf("% x read as %+v, written as % x", b[:h.Size], h, w[:h.Size])
			}
		}
	})
}

func TestAppendFrame(t *testing.T) {
	f := func(n int, want int) {
		t.Helper()
		p := bytes.Repeat([]byte{'a'}, n)
		b := AppendFrame(nil, OpText, p)
		if len(b) != want || b[1]&0x80 == 0 {
			t.Fatalf("a frame of %d bytes for %d", len(b), n)
		}
		key := b[len(b)-n-4:]
		for i, c := range b[len(b)-n:] {
			if c != 'a'^key[i%4] {
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
