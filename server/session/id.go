package session

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"tapecast/server/jsontext"
)

const (
	// maxID is the longest string that is an id, in characters.
	maxID = 36
	// maxEcho is the longest number that is an id, and the longest refused id echoed, in bytes.
	maxEcho = 256
)

var idNull = []byte("null")

// plainID returns the id of a message that is not parsed: a plain one that is the first or last
// member, as clients write it, or else null. For text that is not JSON either answer is fine.
func plainID(p []byte) []byte {
	const least = len(`{"id":1}`)
	p = bytes.TrimSpace(p)
	if len(p) < least || p[0] != '{' || p[len(p)-1] != '}' {
		return idNull
	}
	first := bytes.TrimLeft(p[1:min(len(p), 2*maxEcho)], " ")
	if after, ok := bytes.CutPrefix(first, []byte(`"jsonrpc"`)); ok {
		_, after, _ = bytes.Cut(after, []byte(","))
		first = bytes.TrimLeft(after, " ")
	}
	if after, ok := bytes.CutPrefix(first, []byte(`"id"`)); ok {
		id, _, _ := bytes.Cut(after, []byte(","))
		return plainValue(id)
	}
	last := p[max(0, len(p)-maxEcho) : len(p)-1]
	if n := bytes.LastIndexByte(last, ','); n >= 0 {
		if id, ok := bytes.CutPrefix(bytes.TrimLeft(last[n+1:], " "), []byte(`"id"`)); ok {
			return plainValue(id)
		}
	}
	return idNull
}

// plainValue returns the value after the colon if it is a plain id, or else null.
func plainValue(p []byte) []byte {
	id, ok := bytes.CutPrefix(bytes.TrimSpace(p), []byte(":"))
	if id = bytes.TrimSpace(id); !ok || len(id) == 0 || len(id) > maxID+2 {
		return idNull
	}
	if n := len(id) - 1; n > 0 && id[0] == '"' && id[n] == '"' {
		for _, c := range id[1:n] {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				return idNull
			}
		}
		return id
	}
	for _, c := range id {
		if c < '0' || c > '9' {
			return idNull
		}
	}
	if id[0] == '0' && len(id) > 1 || len(id) > 18 {
		return idNull
	}
	return id
}

// parseID takes an id that is an integer, a string or null, as it was sent: "\ud800", which is not
// a character, comes back too. Of other ids it echoes those that JSON-RPC knows.
func (q *request) parseID(v *fastjson.Value) fault {
	if v == nil {
		q.id = nil
		return fault{}
	}
	q.idBuf = v.MarshalTo(q.idBuf[:0]) // before Type and StringBytes, which decode a string
	good := false
	switch v.Type() {
	case fastjson.TypeNull:
		return fault{}
	case fastjson.TypeNumber:
		_, good = wholeNumber(q.idBuf)
		good = good && len(q.idBuf) <= maxEcho
	case fastjson.TypeString:
		s, _ := v.StringBytes()
		good = utf8.RuneCount(s) <= maxID
	default:
		q.idBuf = nil // it may be as long as the message
	}
	if good || q.idBuf != nil && len(q.idBuf) <= maxEcho {
		q.id = q.idBuf
	}
	if good {
		return fault{}
	}
	return badRequest("id must be an integer of 64 bits, a string of at most 36 characters, or null")
}

// wholeNumberOf is wholeNumber of a value. ok is false if the value is not a number.
func wholeNumberOf(v *fastjson.Value) (n int64, ok bool) {
	if n, err := v.Int64(); err == nil || v.Type() != fastjson.TypeNumber {
		return n, err == nil
	}
	return wholeNumber(v.MarshalTo(nil))
}

// wholeNumber reads a JSON number that is a 64-bit integer in any form: 1000, 1e3, 1000.0.
func wholeNumber(b []byte) (n int64, ok bool) {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return n, true
	}
	text, negative := strings.CutPrefix(string(b), "-")
	at := len(text)
	shift := 0
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		shift, _ = strconv.Atoi(text[e+1:]) // a number out of range becomes the greatest or least int
		at = e
	}
	whole, part, _ := strings.Cut(text[:at], ".")
	digits := strings.TrimRight(whole+part, "0")
	zeros := len(digits)
	digits = strings.TrimLeft(digits, "0")
	if zeros -= len(digits); digits == "" {
		return 0, true
	}
	const most = 19 // digits of 64 bits
	left := len(whole) - zeros
	if shift > most-left || shift < len(digits)-left { // the point comes after that many digits
		return 0, false
	}
	digits += strings.Repeat("0", left+shift-len(digits))
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// doubledIn returns a name that occurs twice in an object of v: another reader may take the other
// of the two members. tooDeep bounds the recursion.
func doubledIn(v *fastjson.Value) (name string, twice bool) {
	switch v.Type() {
	case fastjson.TypeArray:
		items, _ := v.Array()
		for _, it := range items {
			if name, twice = doubledIn(it); twice {
				break
			}
		}
	case fastjson.TypeObject:
		o, _ := v.Object()
		if name, twice = jsontext.Doubled(o); twice {
			break
		}
		o.Visit(func(_ []byte, v *fastjson.Value) {
			if !twice {
				name, twice = doubledIn(v)
			}
		})
	}
	return name, twice
}
