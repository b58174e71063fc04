package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestValue(t *testing.T) {
	f := func(size int, fields string) {
		t.Helper()
		v, err := NewValueShape(size, fields)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{0, 1, 9, 10, 123456789, MaxMessages - 1} {
			due := int64(1_699_123_456_789_012_345) + n*7
			p := v.Make([]byte("before"), due, n)[len("before"):]
			var m struct {
				T, N int64
				P    string
			}
			if err := json.Unmarshal(p, &m); err != nil || m.T != due || m.N != n+numberBase {
				t.Fatalf("%s: %+v, %v", p, m, err)
			}
			if len(p) != size || ParseNumber(p) != n || ParseTime(p) != due || !v.Same(p, due, n) {
				t.Fatalf("%s: %d bytes, number %d, time %d", p, len(p), ParseNumber(p), ParseTime(p))
			}
			for i := range p {
				q := append([]byte{}, p...)
				q[i] ^= 1
				if v.Same(q, due, n) {
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
		if _, err := NewValueShape(size, fields); err == nil {
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
	v, _ := NewValueShape(128, "")
	p := v.Make(nil, 1e18, 42)
	for i := range numberWidth {
		for _, c := range []byte{'/', ':', ' ', '"', 'a', 0, 0x80, 0xff} {
			q := append([]byte{}, p...)
			q[NumberAt+i] = c
			if n := ParseNumber(q); n != -1 {
				t.Fatalf("%q read as %d", q[NumberAt:NumberAt+numberWidth], n)
			}
		}
		for j := range timeWidth {
			q := append([]byte{}, p...)
			q[TimeAt+j] = ':'
			if n := ParseTime(q); n != -1 {
				t.Fatalf("%q read as %d", q[TimeAt:TimeAt+timeWidth], n)
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

// A recorded value with its stamp is one object, and any change of it is found.
func TestStamp(t *testing.T) {
	const value = `{"e":"trade","t":5,"m":{"a":[1]}}`
	shape := NewStampShape([][]byte{[]byte(value[:len(value)-1])})
	p := shape.Make([]byte("before"), 1_699_123_456_789_012_345, 42)[len("before"):]
	if want := value[:len(value)-1] + `,"@":1699123456789012345,"#":1000000042,"%":`; !strings.HasPrefix(string(p),
		want) || len(p) != len(value)+StampSize-1 {
		t.Fatalf("%s", p)
	}
	at := len(p) - StampSize
	good := func(p []byte) bool {
		return shape.Same(p[at:], 1_699_123_456_789_012_345, 42) && WholeStamped(p, at)
	}
	if !good(p) || ParseNumber(p[at:]) != 42 || shape.Size() != StampSize {
		t.Fatalf("%s", p)
	}
	for i := range p[:len(p)-1] { // the last one is checked with every frame
		q := bytes.Clone(p)
		if q[i] ^= 1; good(q) {
			t.Errorf("a change of byte %d went unseen: %s", i, q)
		}
	}
}
