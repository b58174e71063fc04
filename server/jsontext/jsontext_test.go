package jsontext

import (
	"strings"
	"testing"

	"github.com/valyala/fastjson"
)

func TestTooDeep(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := TooDeep([]byte(text)); got != want {
			t.Errorf("%.60s: %v", text, got)
		}
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	f(nested(MaxDepth), false)
	f(nested(MaxDepth+1), true)
	f(strings.Repeat(`{"a":`, MaxDepth+1)+"1"+strings.Repeat("}", MaxDepth+1), true)
	f(`"`+nested(2*MaxDepth)+`"`, false)             // in a string
	f(`"\"`+nested(2*MaxDepth)+`"`, false)           // behind an escaped quote
	f(`"`+nested(2*MaxDepth), false)                 // not JSON: either way
	f(strings.Repeat("[],", 2*MaxDepth)+"[]", false) // one after the other
}

func TestValid(t *testing.T) {
	for _, text := range []string{"{}", " [1,\t\r\n2]", `"\u0000\b"`, "\"\u00e9\"", "-1.5e3"} {
		if !Valid([]byte(text)) {
			t.Errorf("%q is JSON", text)
		}
	}
	for _, text := range []string{"", "nan", `"\x"`, "01", "[1]2", "\"\xff\"", "\"\x00\"", "\"\x00\\b\"", "\"\\b\n\"",
		"{\"a\\n\x1f\":1}"} {
		if Valid([]byte(text)) {
			t.Errorf("%q is not JSON", text)
		}
	}
}

func TestDoubled(t *testing.T) {
	f := func(text, name string, twice bool) {
		t.Helper()
		v, err := fastjson.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, is := Doubled(v.GetObject()); got != name || is != twice {
			t.Errorf("%s: %q, %v", text, got, is)
		}
	}
	f(`{}`, "", false)
	f(`{"a":1,"b":1}`, "", false)
	f(`{"a":1,"b":1,"a":1}`, "a", true)
	f(`{"a":1,"\u0061":2}`, "a", true)
	f(`{"a":{"b":1,"b":2}}`, "", false) // what it holds is not looked into
	many := `"x":{},`
	for c := 'a'; c <= 'v'; c++ {
		many += `"` + string(c) + `":1,`
	}
	f(`{`+many+`"z":1}`, "", false)
	f(`{`+many+`"q":1}`, "q", true)
}

func TestQuoted(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Quoted(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	f("a\"b\n", `"a\"b\n"`)
	f("\xff", `"`+"\uFFFD"+`"`)
	f(strings.Repeat("x", 64), `"`+strings.Repeat("x", 64)+`"`)
	f(strings.Repeat("x", 65), `"`+strings.Repeat("x", 64)+`…"`)
	f(strings.Repeat("x", 63)+"é", `"`+strings.Repeat("x", 63)+`…"`)
}
