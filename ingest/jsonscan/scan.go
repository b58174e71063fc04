package jsonscan

import "bytes"

// maxDepth is how deep arrays and objects may nest. It bounds the recursion, and
// every client's parser goes deeper (encoding/json stops at 10,000).
const maxDepth = 512

// span is the position of a value in its text, up to but not including to; empty: no value.
type span struct{ from, to int }

// doubledAt is the span of a field that is Doubled.
var doubledAt = span{-1, -1}

// Found is the state of a field after a scan.
type Found uint8

const (
	Missing Found = iota // the text does not have it
	Usable               // the text has it, perhaps twice with the same value
	Doubled              // the text has it twice, with different values: parsers differ in which one counts
)

// Scanner checks one JSON text after another (RFC 8259, as strictly as
// encoding/json) and finds the exact spans of the wanted fields in the same pass.
// It belongs to one goroutine and allocates nothing once its buffers are warm.
//
// An object may have a wanted member twice, or an object on the path to it. The field is
// Usable if both values are the same, else Doubled.
type Scanner struct {
	src   []byte
	spans []span // by slot
	first []span // by node: the first member of that name
	name  []byte // buffer for a string without escapes
	other []byte // buffer for a second one

	high    uint64 // the highest bit of some byte is set: a string may hold more than ASCII
	escaped bool   // some string since this was cleared holds an escape
}

// Scan checks a text and finds the fields of a tree, if any. It returns -1, or a fault's index.
func (s *Scanner) Scan(src []byte, tree *Tree) (fault int) {
	s.src, s.high = src, 0
	var root *node
	if tree != nil {
		root = &tree.root
		s.spans = zeroed(s.spans, tree.slots)
		s.first = zeroed(s.first, tree.nodes)
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

// Clear makes all fields Missing, as if an empty text had been scanned.
func (s *Scanner) Clear(tree *Tree) {
	s.src = nil
	if tree != nil {
		s.spans = zeroed(s.spans, tree.slots)
	}
}

// zeroed returns a slice of n zero elements. It reuses the memory of s.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// The methods below take the index at which they start. They return the index after the value
// that they read, or ^index of the fault.

// space skips white space. Mostly there is none, so this part is inlined.
func (s *Scanner) space(i int) int {
	if i < len(s.src) && s.src[i] <= ' ' {
		return skipSpace(s.src, i)
	}
	return i
}

func skipSpace(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// value reads any value. want has the wanted members, in case it is an object.
func (s *Scanner) value(i int, want *node, depth int) int {
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

func (s *Scanner) object(i int, want *node, depth int) int {
	if depth > maxDepth {
		return ^i
	}
	src := s.src
	if i = s.space(i + 1); i < len(src) && src[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(src) || src[i] != '"' {
			return ^i
		}
		s.escaped = false
		end := s.text(i + 1)
		if end < 0 {
			return end
		}
		var wanted *node
		if want != nil {
			wanted = s.wanted(want, src[i+1:end-1])
		}
		if i = s.space(end); i >= len(src) || src[i] != ':' {
			return ^i
		}
		from := s.space(i + 1)
		inner := wanted
		if wanted != nil && s.first[wanted.id].to > 0 {
			inner = nil // it came before, and found compares the two as a whole
		}
		if i = s.value(from, inner, depth); i < 0 {
			return i
		}
		if wanted != nil {
			s.found(wanted, span{from, i})
		}
		if i = s.space(i); i >= len(src) {
			return ^i
		}
		switch src[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return ^i
		}
	}
}

// found records the span of a wanted member.
func (s *Scanner) found(n *node, at span) {
	switch first := &s.first[n.id]; {
	case first.to == 0:
		*first = at
		if n.slot >= 0 {
			s.spans[n.slot] = at
		}
	case !s.alike(*first, at):
		s.double(n)
	}
}

// double marks all fields at a node and below it as doubled.
func (s *Scanner) double(n *node) {
	if n.slot >= 0 {
		s.spans[n.slot] = doubledAt
	}
	for _, kid := range n.kids {
		s.double(kid)
	}
}

// alike reports whether two values have the same bytes, or are strings with the same text.
func (s *Scanner) alike(a, b span) bool {
	x, y := s.src[a.from:a.to], s.src[b.from:b.to]
	if bytes.Equal(x, y) {
		return true
	}
	if x[0] != '"' || y[0] != '"' {
		return false
	}
	var whole, too bool
	s.name, whole = unquote(s.name[:0], x[1:len(x)-1])
	s.other, too = unquote(s.other[:0], y[1:len(y)-1])
	return whole && too && bytes.Equal(s.name, s.other)
}

// Found returns the state of a field.
func (s *Scanner) Found(slot int) Found {
	switch at := s.spans[slot]; {
	case at == doubledAt:
		return Doubled
	case at.from == at.to:
		return Missing
	}
	return Usable
}

// NonASCII reports whether a string may hold more than ASCII: then UTF-8 is worth checking.
func (s *Scanner) NonASCII() bool { return s.high&high != 0 }

// Field returns the bytes of a field that is Usable, with the quotes of a string.
func (s *Scanner) Field(slot int) []byte {
	at := s.spans[slot]
	return s.src[at.from:at.to]
}

// wanted finds the node of a member.
func (s *Scanner) wanted(want *node, name []byte) *node {
	if s.escaped && len(want.kids) > 0 {
		s.name, _ = unquote(s.name[:0], name)
		name = s.name
	}
	for _, n := range want.kids {
		if string(name) == n.name {
			return n
		}
	}
	return nil
}

func (s *Scanner) array(i, depth int) int {
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

func (s *Scanner) word(i int, w string) int {
	if !bytes.HasPrefix(s.src[i:], []byte(w)) {
		return ^i
	}
	return i + len(w)
}

func (s *Scanner) number(i int) int {
	src := s.src
	if src[i] == '-' {
		i++
	}
	first := i
	for i < len(src) && src[i]-'0' < 10 {
		i++
	}
	if i == first || src[first] == '0' && i > first+1 {
		return ^first
	}
	if i < len(src) && src[i] != '.' && src[i]|0x20 != 'e' {
		return i
	}
	if i < len(src) && src[i] == '.' {
		first = i + 1
		if i = s.digits(first); i == first {
			return ^i
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		first = i
		if i = s.digits(first); i == first {
			return ^i
		}
	}
	return i
}

func (s *Scanner) digits(i int) int {
	for i < len(s.src) && s.src[i]-'0' < 10 {
		i++
	}
	return i
}
