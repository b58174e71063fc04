package ingest

import "bytes"

// maxDepth is how deep arrays and objects may nest. Recursion ends there, and
// every client's parser gets further (encoding/json stops at 10,000).
const maxDepth = 512

// span is the place of a value in its text. Where from equals to there is none.
type span struct{ from, to int }

// doubled is a field whose text has it twice, and not alike: which of the two counts
// differs from parser to parser.
var doubled = span{-1, -1}

// scanner checks one JSON text after another (RFC 8259, as strictly as
// encoding/json) and notes in the same pass where the wanted fields lie, to
// the byte. It belongs to one goroutine and allocates nothing once warm.
//
// A wanted member, or one on the way to it, that an object has twice is found if both say
// the same. Else it is doubled.
type scanner struct {
	src   []byte
	spans []span // by slot
	first []span // by node: where its member came first
	name  []byte // a text without escapes
	other []byte // another one

	high    uint64 // its highest bits: some string may hold more than ASCII
	escaped bool   // some string since this was cleared holds an escape
}

// scan checks src and finds the fields of tree, which may be nil. It returns
// -1, or where in src the fault is.
func (s *scanner) scan(src []byte, tree *fieldTree) (fault int) {
	s.src, s.high = src, 0
	var root *fieldNode
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

// none forgets all fields: the record has no value that could be looked into.
func (s *scanner) none(tree *fieldTree) {
	s.src = nil
	if tree != nil {
		s.spans = zeroed(s.spans, tree.slots)
	}
}

// zeroed is s, or a longer slice, with n zero elements.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// The methods below take the place at which they start and return the place
// behind what they read; ^place of the fault where there is one.

// space skips white space; mostly there is none, and the call is inlined.
func (s *scanner) space(i int) int {
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
		var node *fieldNode
		if want != nil {
			node = s.wanted(want, src[i+1:end-1])
		}
		if i = s.space(end); i >= len(src) || src[i] != ':' {
			return ^i
		}
		from := s.space(i + 1)
		inner := node
		if node != nil && s.first[node.id].to > 0 {
			inner = nil // it came before: only whether it says the same is of interest
		}
		if i = s.value(from, inner, depth); i < 0 {
			return i
		}
		if node != nil {
			s.found(node, span{from, i})
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

// found notes a wanted member.
func (s *scanner) found(n *fieldNode, at span) {
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
func (s *scanner) double(n *fieldNode) {
	if n.slot >= 0 {
		s.spans[n.slot] = doubled
	}
	for _, kid := range n.kids {
		s.double(kid)
	}
}

// alike reports whether two values are the same text, or strings that say the same.
func (s *scanner) alike(a, b span) bool {
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

// lacks says why there is nothing of a field that could be used; lackNone: there is.
func (s *scanner) lacks(slot int) lack {
	switch at := s.spans[slot]; {
	case at == doubled:
		return lackTwice
	case at.from == at.to:
		return lackMissing
	}
	return lackNone
}

// field is the text of a field that is not lacking.
func (s *scanner) field(slot int) []byte {
	at := s.spans[slot]
	return s.src[at.from:at.to]
}

// wanted finds the node of a member.
func (s *scanner) wanted(want *fieldNode, name []byte) *fieldNode {
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

func (s *scanner) word(i int, w string) int {
	if !bytes.HasPrefix(s.src[i:], []byte(w)) {
		return ^i
	}
	return i + len(w)
}

func (s *scanner) number(i int) int {
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

func (s *scanner) digits(i int) int {
	for i < len(s.src) && s.src[i]-'0' < 10 {
		i++
	}
	return i
}
