package jsonscan

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Strings of a JSON text: their ends and their texts.

const (
	each = 0x0101010101010101 // times a byte: that byte eight times
	high = 0x8080808080808080 // the highest bit of each byte
)

// stops sets the highest bit of the first byte (counted from the lowest) that is a quote,
// a backslash or a control character. The bits above that one mean nothing.
func stops(w uint64) uint64 {
	quote := w ^ each*'"'
	slash := w ^ each*'\\'
	return ((quote-each)&^quote | (slash-each)&^slash | (w-each*0x20)&^w) & high
}

// text reads a string from the index after its opening quote. It collects the highest bits of
// its bytes in s.high, perhaps also those of a few bytes after it, and sets s.escaped if there
// is an escape.
func (s *Scanner) text(i int) int {
	src := s.src
	for i+8 <= len(src) {
		w := binary.LittleEndian.Uint64(src[i:])
		s.high |= w
		m := stops(w)
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if src[i] == '"' {
			return i + 1
		}
		n := escape(src[i:])
		if n == 0 {
			return ^i
		}
		s.escaped = true
		i += n
	}
	for i < len(src) {
		switch c := src[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n := escape(src[i:])
			if n == 0 {
				return ^i
			}
			s.escaped = true
			i += n
		case c < 0x20:
			return ^i
		default:
			s.high |= uint64(c)
			i++
		}
	}
	return ^i
}

// escape returns the length of the escape at the start of a text; 0: it is not a valid one.
func escape(b []byte) int {
	if len(b) < 2 || b[0] != '\\' {
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

// Unquoted returns the text of a string that still has its quotes. The string must be valid
// JSON. The text is valid until the next call. For whole see unquote.
func (s *Scanner) Unquoted(raw []byte) (text []byte, whole bool) {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	s.name, whole = unquote(s.name[:0], raw)
	return s.name, whole
}

// hex4 returns the value of four hexadecimal digits; -1: the text does not begin with them.
func hex4(b []byte) rune {
	var r [2]byte
	if len(b) < 4 {
		return -1
	}
	if _, err := hex.Decode(r[:], b[:4]); err != nil {
		return -1
	}
	return rune(binary.BigEndian.Uint16(r[:]))
}

// unquote appends the text of a string, given without its quotes. The string must be valid
// JSON. Half of a surrogate pair becomes U+FFFD, as in encoding/json. Then whole is false,
// since any other half would give the same text.
func unquote(dst, s []byte) (text []byte, whole bool) {
	whole = true
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), whole
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
				} else {
					whole = false
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}
