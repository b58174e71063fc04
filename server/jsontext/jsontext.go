package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"tapecast/rooms/wire"
)

// MaxDepth is how deep a text may nest. Requests have 4 levels. Clients without a token choose the
// text, and the cost of a parser's failure grows with depth.
const MaxDepth = 32

// TooDeep reports whether p nests deeper than MaxDepth. It may say either if p is not JSON.
func TooDeep(p []byte) bool {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			if i = endOfString(p, i); i < 0 {
				return false
			}
		case '[', '{':
			if depth++; depth > MaxDepth {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// Valid reports whether p is JSON, and in UTF-8. fastjson alone takes control characters in a string with
// escapes, and its parser some numbers and escapes that nobody else does.
func Valid(p []byte) bool {
	if fastjson.ValidateBytes(p) != nil || !utf8.Valid(p) {
		return false
	}
	for _, c := range p {
		if c < ' ' { // it may stand between values
			return json.Valid(p)
		}
	}
	return true
}

// endOfString returns the index of the quote that ends the string which begins at i, or -1.
func endOfString(p []byte, i int) int {
	for i++; ; {
		n := bytes.IndexAny(p[i:], `"\`)
		if n < 0 {
			return -1
		}
		if i += n; p[i] == '"' {
			return i
		}
		if i += 2; i >= len(p) {
			return -1
		}
	}
}

// Doubled returns a name that occurs twice in an object.
func Doubled(o *fastjson.Object) (name string, twice bool) {
	seen := map[string]struct{}{} // of few names: on the stack
	o.Visit(func(key []byte, _ *fastjson.Value) {
		if twice {
			return
		}
		if _, twice = seen[string(key)]; twice {
			name = string(key)
		}
		seen[string(key)] = struct{}{}
	})
	return name, twice
}

// Quoted returns a client's text, shortened and quoted for a message.
func Quoted[S string | []byte](s S) string {
	const most = 64
	t := strings.ToValidUTF8(string(s), "\uFFFD")
	if len(t) > most {
		end := most
		for end > 0 && t[end]&0xc0 == 0x80 {
			end--
		}
		t = t[:end] + "…"
	}
	return string(wire.AppendString(nil, t))
}
