package bench

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestValue(t *testing.T) {
	f := func(size int, fields string) {
		t.Helper()
		v, err := newValueShape(size, fields)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{0, 1, 9, 10, 123456789, maxMessages - 1} {
			due := int64(1_699_123_456_789_012_345) + n*7
			p := v.make([]byte("before"), due, n)[len("before"):]
			var m struct {
				T, N int64
				P    string
			}
			if err := json.Unmarshal(p, &m); err != nil || m.T != due || m.N != n+numberBase {
				t.Fatalf("%s: %+v, %v", p, m, err)
			}
			if len(p) != size || parseNumber(p) != n || parseTime(p) != due || !v.same(p, due, n) {
				t.Fatalf("%s: %d bytes, number %d, time %d", p, len(p), parseNumber(p), parseTime(p))
			}
			for i := range p {
				q := append([]byte{}, p...)
				q[i] ^= 1
				if v.same(q, due, n) {
					t.Fatalf("a change of byte %d went unseen: %s", i, q)
				}
			}
		}
	}
	f(minValue, "")
	f(128, "")
	f(1024, "")
	f(128, `"s":"BTCUSDT","e":"24hrMiniTicker"`)
}

func TestValueRefused(t *testing.T) {
	f := func(size int, fields string) {
		t.Helper()
		if _, err := newValueShape(size, fields); err == nil {
			t.Fatalf("%d bytes with %q were accepted", size, fields)
		}
	}
	f(minValue-1, "")
	f(minValue, `"s":"B"`)
	f(128, `"s"`)
	f(128, `"s":"B",`)
	f(128, `s:1`)
}

func TestParseNumberRefuses(t *testing.T) {
	v, _ := newValueShape(128, "")
	p := v.make(nil, 1e18, 42)
	for i := range numberWidth {
		for _, c := range []byte{'/', ':', ' ', '"', 'a', 0, 0x80, 0xff} {
			q := append([]byte{}, p...)
			q[numberAt+i] = c
			if n := parseNumber(q); n != -1 {
				t.Fatalf("%q read as %d", q[numberAt:numberAt+numberWidth], n)
			}
		}
		for j := range timeWidth {
			q := append([]byte{}, p...)
			q[timeAt+j] = ':'
			if n := parseTime(q); n != -1 {
				t.Fatalf("%q read as %d", q[timeAt:timeAt+timeWidth], n)
			}
		}
	}
}

func FuzzParse8(f *testing.F) {
	f.Add([]byte("01234567"))
	f.Add([]byte("9999999:"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < 8 {
			t.Skip()
		}
		got, ok := parse8(p)
		var want uint64
		wantOK := true
		for _, c := range p[:8] {
			wantOK = wantOK && c >= '0' && c <= '9'
			want = want*10 + uint64(c-'0')
		}
		if ok != wantOK || ok && got != want {
			t.Fatalf("parse8(%q) = %d, %v", p[:8], got, ok)
		}
		if ok && fmt.Sprintf("%08d", got) != string(p[:8]) {
			t.Fatalf("parse8(%q) = %d", p[:8], got)
		}
	})
}
