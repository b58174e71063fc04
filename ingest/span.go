package ingest

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest. Recursion ends there, and
// every client's parser gets further (encoding/json stops at 10,000).
const maxDepth = 512

// span is the place of a value in its text. Where from equals to there is none.
type span struct{ from, to int }

// scanner checks one JSON text after another (RFC 8259, as strictly as
// encoding/json) and notes in the same pass where the wanted fields lie, to
// the byte. It belongs to one goroutine and allocates nothing once warm.
//
// Of a member that an object has twice the first counts.
type scanner struct {
	src   []byte
	spans []span // by slot
	seen  []bool // by node
	name  []byte // a member's name without escapes
}

// scan checks src and finds the fields of tree, which may be nil. It returns
// -1, or where in src the fault is.
func (s *scanner) scan(src []byte, tree *fieldTree) (fault int) {
	s.src = src
	var root *fieldNode
	if tree != nil {
		root = &tree.root
		s.spans = append(s.spans[:0], make([]span, tree.slots)...)
		s.seen = append(s.seen[:0], make([]bool, tree.nodes)...)
	}
	i := s.value(s.space(0), root, 0)
	if i < 0 {
		return ^i
	}
	if i = s.space(i); i < len(src) {
		return i
	}
	return -1
}

// none forgets all fields: the record has no value that could be looked into.
func (s *scanner) none(tree *fieldTree) {
	s.src = nil
	if tree != nil {
		s.spans = append(s.spans[:0], make([]span, tree.slots)...)
	}
}

// unquoted is the text of a checked string that still has its quotes: valid
// until the next call.
func (s *scanner) unquoted(raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	s.name = unquote(s.name[:0], raw)
	return s.name
}

// The methods below take the place at which they start and return the place
// behind what they read; ^place of the fault where there is one.

func (s *scanner) space(i int) int {
	for i < len(s.src) && (s.src[i] == ' ' || s.src[i] == '\n' || s.src[i] == '\t' || s.src[i] == '\r') {
		i++
	}
	return i
}

// value reads any value. Where it is an object, want names the wanted members.
func (s *scanner) value(i int, want *fieldNode, depth int) int {
	if i >= len(s.src) {
		return ^i
	}
	switch c := s.src[i]; c {
	case '"':
		return s.text(i + 1)
	case '{':
		return s.object(i, want, depth+1)
	case '[':
		return s.array(i, depth+1)
	case 't':
		return s.word(i, "true")
	case 'f':
		return s.word(i, "false")
	case 'n':
		return s.word(i, "null")
	default:
		return s.number(i)
	}
}

func (s *scanner) object(i int, want *fieldNode, depth int) int {
	if depth > maxDepth {
		return ^i
	}
	if i = s.space(i + 1); i < len(s.src) && s.src[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s.src) || s.src[i] != '"' {
			return ^i
		}
		end := s.text(i + 1)
		if end < 0 {
			return end
		}
		var node *fieldNode
		if want != nil {
			node = s.wanted(want, s.src[i+1:end-1])
		}
		if i = s.space(end); i >= len(s.src) || s.src[i] != ':' {
			return ^i
		}
		from := s.space(i + 1)
		if i = s.value(from, node, depth); i < 0 {
			return i
		}
		if node != nil && node.slot >= 0 {
			s.spans[node.slot] = span{from, i}
		}
		if i = s.space(i); i >= len(s.src) {
			return ^i
		}
		switch s.src[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return ^i
		}
	}
}

// wanted finds the node of a member, unless an earlier member had it.
func (s *scanner) wanted(want *fieldNode, name []byte) *fieldNode {
	if len(want.kids) > 0 && bytes.IndexByte(name, '\\') >= 0 {
		s.name = unquote(s.name[:0], name)
		name = s.name
	}
	for _, n := range want.kids {
		if string(name) == n.name && !s.seen[n.id] {
			s.seen[n.id] = true
			return n
		}
	}
	return nil
}

func (s *scanner) array(i, depth int) int {
	if depth > maxDepth {
		return ^i
	}
	if i = s.space(i + 1); i < len(s.src) && s.src[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(i, nil, depth); i < 0 {
			return i
		}
		if i = s.space(i); i >= len(s.src) {
			return ^i
		}
		switch s.src[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return ^i
		}
	}
}

// special marks the bytes that end a run of ordinary ones in a string.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// text reads a string from behind its opening quote.
func (s *scanner) text(i int) int {
	src := s.src
	for i < len(src) {
		if !special[src[i]] {
			i++
			continue
		}
		switch src[i] {
		case '"':
			return i + 1
		case '\\':
			n := escape(src[i:])
			if n == 0 {
				return ^i
			}
			i += n
		default: // a control character
			return ^i
		}
	}
	return ^i
}

// escape is the length of the escape that b begins with; 0: it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex4(b[2:]) >= 0 {
			return 6
		}
	}
	return 0
}

func (s *scanner) word(i int, w string) int {
	if !bytes.HasPrefix(s.src[i:], []byte(w)) {
		return ^i
	}
	return i + len(w)
}

func (s *scanner) number(i int) int {
	if s.src[i] == '-' {
		i++
	}
	first := i
	i = s.digits(i)
	if i == first || s.src[first] == '0' && i > first+1 {
		return ^first
	}
	if i < len(s.src) && s.src[i] == '.' {
		first = i + 1
		if i = s.digits(first); i == first {
			return ^i
		}
	}
	if i < len(s.src) && (s.src[i] == 'e' || s.src[i] == 'E') {
		i++
		if i < len(s.src) && (s.src[i] == '+' || s.src[i] == '-') {
			i++
		}
		first = i
		if i = s.digits(first); i == first {
			return ^i
		}
	}
	return i
}

func (s *scanner) digits(i int) int {
	for i < len(s.src) && s.src[i]-'0' < 10 {
		i++
	}
	return i
}

// hex4 is the value of four hexadecimal digits; -1: b does not begin with them.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	r := rune(0)
	for _, c := range b[:4] {
		switch {
		case c-'0' < 10:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unquote appends what stands between the quotes of a checked string, without
// its escapes. Half a surrogate pair becomes U+FFFD, as in encoding/json.
func unquote(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					low = hex4(s[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					s = s[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}
