package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
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

func TestAppendFrame(t *testing.T) {
	f := func(op byte, n int, header string) {
		t.Helper()
		payload := bytes.Repeat([]byte{'x'}, n)
		got := AppendFrame([]byte("before"), op, payload)
		want := "before" + header + string(payload)
		if string(got) != want {
			t.Errorf("%d bytes: got % x…, want % x…", n, got[:min(len(got), 16)], want[:min(len(want), 16)])
		}
		if HeaderSize(n) != len(header) {
			t.Errorf("%d bytes: HeaderSize is %d, not %d", n, HeaderSize(n), len(header))
		}
		if o, p, rest := readFrame(t, got[6:]); o != op || len(p) != n || len(rest) != 0 {
			t.Errorf("%d bytes: read as opcode %d with %d bytes, %d left", n, o, len(p), len(rest))
		}
	}
	// RFC 6455, 5.2: the least number of bytes that holds the length.
	f(OpText, 0, "\x81\x00")
	f(OpBinary, 1, "\x82\x01")
	f(OpText, 125, "\x81\x7d")
	f(OpText, 126, "\x81\x7e\x00\x7e")
	f(OpText, 0xffff, "\x81\x7e\xff\xff")
	f(OpBinary, 0x10000, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00")
	f(OpText, 0x123456, "\x81\x7f\x00\x00\x00\x00\x00\x12\x34\x56")
}

func TestAppendString(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := string(AppendString([]byte("x"), s)); got != "x"+want {
			t.Errorf("%q: got %s, want x%s", s, got, want)
		}
		if got := string(AppendString(nil, []byte(s))); got != want {
			t.Errorf("%q as bytes: got %s, want %s", s, got, want)
		}
	}
	f("", `""`)
	f("prices:BTC", `"prices:BTC"`)
	f("\"", `"\""`)
	f(`a\b`, `"a\\b"`)
	f("a\nb\rc\td", `"a\nb\rc\td"`)
	f("\x00\x01\x1f\x7f", `"\u0000\u0001\u001f`+"\x7f\"")
	f("\b\f", `"\u0008\u000c"`)
	f("<a>&é€😀\u2028", `"<a>&é€😀`+"\u2028\"")
	f(`""`, `"\"\""`)
}

// Whatever AppendString makes of valid text, another parser reads as that text.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "prices", "\x00", `"\`, "a\nb\x1f", "\u2028é😀", strings.Repeat("\"", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return // is in no frame: name.go
		}
		got := AppendString(nil, s)
		if key := AppendString(nil, []byte(s)); !bytes.Equal(key, got) {
			t.Fatalf("%q: %s as a string, %s as bytes", s, got, key)
		}
		if !utf8.Valid(got) {
			t.Fatalf("%q: %q is no UTF-8", s, got)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != s {
			t.Fatalf("%q: %s is read as %q, error %v", s, got, back, err)
		}
	})
}
