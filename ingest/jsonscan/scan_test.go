package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

func TestScanFields(t *testing.T) {
	// f: path, JSON, the exact bytes of the field; "": missing.
	f := func(path, text, want string) {
		t.Helper()
		tree := NewTree()
		slot, err := tree.Add(path)
		if err != nil {
			t.Fatalf("cannot add %q: %v", path, err)
		}
		var s Scanner
		if at := s.Scan([]byte(text), tree); at >= 0 {
			t.Fatalf("%s: fault at %d", text, at)
		}
		sp := s.spans[slot]
		if got := text[sp.from:sp.to]; got != want {
			t.Errorf("%s of %s: %q, want %q", path, text, got, want)
		}
	}
	f(`s`, `{"s":"BTCUSDT"}`, `"BTCUSDT"`)
	f(`s`, ` { "a" : 1 , "s" : 12.50 } `, `12.50`)
	f(`s`, `{"ss":1,"s":[1, 2 ,{"s":3}],"t":4}`, `[1, 2 ,{"s":3}]`)
	f(`data`, `{"data": {"b":[ ],"a" : "}"} ,"x":1}`, `{"b":[ ],"a" : "}"}`)
	f(`data`, `{"data":null}`, `null`)
	f(`data.asset`, `{"meta":{"asset":1},"data":{"x":{"asset":2},"asset":3}}`, `3`)
	f(`data.asset`, `{"data":5}`, ``)
	f(`data.asset`, `{"data":[{"asset":1}]}`, ``)
	f(`a.b.c`, `{"a":{"b":{"c":"\"\\"}}}`, `"\"\\"`)
	f(`s`, `[{"s":1}]`, ``)
	f(`s`, `"s"`, ``)
	f(`s`, `{}`, ``)
	f(`s`, `{"s":1,"s":1}`, `1`)                          // twice, but alike
	f(`s`, `{"s":"A","s":"\u0041"}`, `"A"`)               //
	f(`a`, `{"a":{"b":1,"b":2}}`, `{"b":1,"b":2}`)        // no path leads into it
	f(`s`, `{"\u0073":7}`, `7`)                           // names may be escaped
	f(`ключ`, `{"ключ":"значение"}`, `"значение"`)        //
	f(`s`, `{"x":"\\\"","s":"a\\"}`, `"a\\"`)             // escaped backslash before the quote
	f(`s`, "{\n\t\"s\"\r\n:\ttrue\n}", `true`)            //
	f(`a b`, `{"a b":-0.1e-5}`, `-0.1e-5`)                //
	f(`s`, `{"y":{"s":[{"s":"no"}]},"s":"yes"}`, `"yes"`) //
}

// A field that occurs twice with different values is Doubled: parsers differ in which one they take.
func TestScanDoubled(t *testing.T) {
	f := func(text string, want ...Found) {
		t.Helper()
		tree := NewTree()
		for _, path := range []string{"s", "a.b", "a.c", "a"} {
			if _, err := tree.Add(path); err != nil {
				t.Fatal(err)
			}
		}
		var s Scanner
		if at := s.Scan([]byte(text), tree); at >= 0 {
			t.Fatalf("%s: fault at %d", text, at)
		}
		for slot, found := range want {
			if got := s.Found(slot); got != found {
				t.Errorf("%s, slot %d: %d, want %d", text, slot, got, found)
			}
		}
	}
	f(`{"s":1,"s":2}`, Doubled, Missing, Missing, Missing)
	f(`{"s":1,"s":"1"}`, Doubled)
	f(`{"s":"a","x":0,"s":"b"}`, Doubled)
	f(`{"s":"a","s":"b","s":"a"}`, Doubled)
	f(`{"s":"a","\u0073":"b"}`, Doubled)
	f(`{"s":"\ud800","s":"\ud801"}`, Doubled) // both are U+FFFD
	f(`{"s":"a","s":"a"}`, Usable)
	f(`{"a":{"b":1},"a":{"b":2}}`, Missing, Doubled, Doubled, Doubled)
	f(`{"a":{"b":1,"c":2},"a":{"b":1,"c":2}}`, Missing, Usable, Usable, Usable)
	f(`{"a":{"b":1,"b":2,"c":3}}`, Missing, Doubled, Usable, Usable)
	f(`{"a":{"c":1},"a":{"b":2}}`, Missing, Doubled, Doubled, Doubled)
	f(`{"x":{"s":1},"x":{"s":2},"s":3}`, Usable) // no path leads into x
}

func TestScanSeveralFields(t *testing.T) {
	tree := NewTree()
	var slots []int
	for _, p := range []string{"data", "data.asset", "metadata.userId", "data", "metadata"} {
		slot, _ := tree.Add(p)
		slots = append(slots, slot)
	}
	if slots[0] != slots[3] || tree.slots != 4 {
		t.Fatalf("slots %v of %d: the same path must have the same slot", slots, tree.slots)
	}
	text := []byte(`{"metadata":{"userId":42},"data": {"asset":"BTC"}}`)
	var s Scanner
	for range 3 { // the scanner is reused
		if at := s.Scan(text, tree); at >= 0 {
			t.Fatal("fault at", at)
		}
		for i, want := range []string{`{"asset":"BTC"}`, `"BTC"`, `42`, `{"asset":"BTC"}`, `{"userId":42}`} {
			if sp := s.spans[slots[i]]; string(text[sp.from:sp.to]) != want {
				t.Errorf("slot %d: %q, want %q", slots[i], text[sp.from:sp.to], want)
			}
		}
	}
	if at := s.Scan([]byte(`{}`), tree); at >= 0 || s.spans[slots[0]] != (span{}) {
		t.Error("fields of the previous text are left")
	}
}

func TestScanFaults(t *testing.T) {
	f := func(text string, at int) {
		t.Helper()
		var s Scanner
		if got := s.Scan([]byte(text), nil); got != at {
			t.Errorf("%q: fault at %d, want %d", text, got, at)
		}
		if json.Valid([]byte(text)) != (at < 0) {
			t.Errorf("%q: encoding/json disagrees", text)
		}
	}
	f(`{"a":1}`, -1)
	f(``, 0)
	f(`  `, 2)
	f(`{`, 1)
	f(`{"a"`, 4)
	f(`{"a":`, 5)
	f(`{"a":1`, 6)
	f(`{"a":1,}`, 7)
	f(`{a:1}`, 1)
	f(`[1,]`, 3)
	f(`[1`, 2)
	f(`[1 2]`, 3)
	f(`{"a":1} x`, 8)
	f(`01`, 0)
	f(`-`, 1)
	f(`1.`, 2)
	f(`1e+`, 3)
	f(`tru`, 0)
	f(`nul`, 0)
	f(`fals`, 0)
	f(`"a`, 2)
	f(`"\x"`, 1)
	f(`"\u12g4"`, 1)
	f("\"\x01\"", 1)
	f("\"\x01\\n\"", 1) // fastjson v1.6.10 lets this through
	f(`"\`, 1)
	f(`NaN`, 0)
	f(`'a'`, 0)
	f("\xef\xbb\xbf{}", 0)
}

func TestScanDepth(t *testing.T) {
	var s Scanner
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	if at := s.Scan([]byte(deep), nil); at >= 0 {
		t.Errorf("%d levels: fault at %d", maxDepth, at)
	}
	if at := s.Scan([]byte("["+deep+"]"), nil); at != maxDepth {
		t.Errorf("%d levels: fault at %d, want %d", maxDepth+1, at, maxDepth)
	}
	if at := s.Scan(bytes.Repeat([]byte(`{"a":`), 1<<20), nil); at != 5*maxDepth {
		t.Errorf("a million levels: fault at %d, want %d", at, 5*maxDepth)
	}
}

func TestUnquote(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		var want string
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatal(err)
		}
		var s Scanner
		got, whole := s.Unquoted([]byte(raw))
		if string(got) != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
		if whole == strings.ContainsRune(want, utf8.RuneError) {
			t.Errorf("%s: whole is %v", raw, whole)
		}
	}
	f(`""`)
	f(`"BTC"`)
	f(`"\b\f\n\r\t\"\\\/"`)
	f(`"\u0042\u00e9\u20AC"`)
	f(`"\ud83d\ude00!"`)
	f(`"\ud83d"`)
	f(`"\ud83dx"`)
	f(`"\ud83d\u0041"`)
	f(`"\ude00\ud83d\ude00"`)
}

// FuzzScan compares the scanner with encoding/json (is the text valid?) and fastjson (the value
// of a field).
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"s":"BTCUSDT","a":{"b":[1,2,{"c":null}]}}`, `{"a":{"b":"\u0041\ud83d\ude00"}}`, `[{"s":1}]`, `{"s":1,"s":2}`,
		`{"\u0073":1}`, `{"a":1e5,"s":-0.0}`, "{\"s\":\"\x01\\n\"}", `{"a":{"b":{}},"a":1}`,
		"\"\xff\"", `{"s":"x"}}`, `1`,
	} {
		f.Add([]byte(s))
	}
	tree := NewTree()
	top, _ := tree.Add("s")
	nested, _ := tree.Add("a.b")
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Scanner
		at := s.Scan(text, tree)
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxDepth {
			return // too deep for us, perhaps, and not for the others
		}
		if valid := json.Valid(text); valid != (at < 0) {
			t.Fatalf("%q: fault at %d, but encoding/json says %v", text, at, valid)
		}
		if at >= 0 {
			return
		}
		v, err := fastjson.ParseBytes(text)
		if err != nil {
			t.Fatalf("%q: fastjson cannot parse: %v", text, err)
		}
		s.compare(t, text, v, top, "s")
		s.compare(t, text, v, nested, "a", "b")
	})
}

// compare compares the value that the scanner found for a path with fastjson's.
func (s *Scanner) compare(t *testing.T, text []byte, v *fastjson.Value, slot int, path ...string) {
	t.Helper()
	sp := s.spans[slot]
	if twice, differ := members(v, path); sp == doubledAt || differ {
		if !twice || !differ && sp != doubledAt {
			t.Fatalf("%q %v: found at %v; there twice: %v, with different values: %v", text,
				path, sp, twice, differ)
		}
		if sp == doubledAt {
			return
		}
		t.Fatalf("%q %v: is there twice with different values, and found at %v", text, path, sp)
	}
	got := text[sp.from:sp.to]
	want := v.Get(path...)
	if len(got) == 0 || want == nil {
		// In fastjson a path may lead through an array. It also takes a later member if
		// the first is not an object. Neither happens with these paths.
		if len(got) != 0 || want != nil {
			t.Fatalf("%q %v: %q, fastjson has %v", text, path, got, want)
		}
		return
	}
	mine, err := fastjson.ParseBytes(got)
	if err != nil {
		t.Fatalf("%q %v: %q is not JSON: %v", text, path, got, err)
	}
	if !bytes.Equal(mine.MarshalTo(nil), want.MarshalTo(nil)) {
		t.Fatalf("%q %v: %q, fastjson has %s", text, path, got, want)
	}
	if len(bytes.TrimSpace(got)) != len(got) {
		t.Fatalf("%q %v: %q has space around it", text, path, got)
	}
	if got[0] == '"' && utf8.Valid(got) {
		var want string
		err := json.Unmarshal(got, &want)
		if said, _ := s.Unquoted(got); err != nil || string(said) != want {
			t.Fatalf("%q: unquoted %q, want %q (%v)", got, said, want, err)
		}
	}
}

// members follows a path, each time by the first member of that name. It reports whether some
// object on the path has the next member twice, and whether their values differ.
func members(v *fastjson.Value, path []string) (twice, differ bool) {
	for _, step := range path {
		o, err := v.Object()
		if err != nil {
			return twice, differ
		}
		var first *fastjson.Value
		o.Visit(func(name []byte, m *fastjson.Value) {
			switch {
			case string(name) != step:
			case first == nil:
				first = m
			default:
				twice = true
				differ = differ || !bytes.Equal(first.MarshalTo(nil), m.MarshalTo(nil))
			}
		})
		if v = first; v == nil {
			return twice, differ
		}
	}
	return twice, differ
}
