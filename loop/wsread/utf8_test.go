package wsread

import (
	"testing"
	"unicode/utf8"
)

// viable reports, by the standard library alone, whether some text begins
// with b.
func viable(b []byte) bool {
	for len(b) > 0 && utf8.FullRune(b) {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		b = b[n:]
	}
	return true
}

// checkUTF8 holds a utf8Check, fed b in two pieces and byte by byte, against
// the standard library.
func checkUTF8(t *testing.T, b []byte, cut int) {
	t.Helper()
	var two utf8Check
	ok := two.push(b[:cut])
	if ok != viable(b[:cut]) {
		t.Fatalf("%x: push says %v", b[:cut], ok)
	}
	if ok {
		ok = two.push(b[cut:])
		if ok != viable(b) {
			t.Fatalf("%x then %x: push says %v", b[:cut], b[cut:], ok)
		}
	}
	if got := ok && two.done(); got != utf8.Valid(b) {
		t.Fatalf("%x then %x: valid %v", b[:cut], b[cut:], got)
	}

	var c utf8Check
	for i := range b {
		ok := c.push(b[i : i+1])
		if ok != viable(b[:i+1]) {
			t.Fatalf("%x byte by byte: push says %v", b[:i+1], ok)
		}
		if !ok {
			return
		}
		if c.done() != utf8.Valid(b[:i+1]) {
			t.Fatalf("%x byte by byte: done says %v", b[:i+1], c.done())
		}
	}
}

// Every first byte with every second and, where the ranges of later bytes
// end, third and fourth.
func TestUTF8Check(t *testing.T) {
	edges := []byte{0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF}
	for a := range 256 {
		for b := range 256 {
			checkUTF8(t, []byte{byte(a), byte(b)}, 1)
		}
		for _, b := range edges {
			for _, c := range edges {
				for _, d := range edges {
					checkUTF8(t, []byte{byte(a), b, c, d, 'x'}, 2)
				}
			}
		}
	}
}

func FuzzUTF8(f *testing.F) {
	for _, s := range []string{"", "a", "κόσμε", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xe0\x80", "日本語\xff"} {
		f.Add([]byte(s), uint(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		checkUTF8(t, b, int(cut%uint(len(b)+1)))
	})
}
