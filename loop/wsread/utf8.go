package wsread

import "unicode/utf8"

// utf8Check validates UTF-8 that arrives in pieces, cut anywhere. Its zero value is at the start of
// a text. It fails at the first byte that cannot continue the text (RFC 3629, section 4), and not
// at the end of the rune, so that a bad client is told at once.
type utf8Check struct {
	need   uint8 // bytes that the rune in progress still lacks
	lo, hi uint8 // range its next byte must be in
}

// push takes the next piece. It returns false if the text so far cannot become valid. The check
// must not be used further then.
func (c *utf8Check) push(b []byte) bool {
	for c.need > 0 {
		if len(b) == 0 {
			return true
		}
		if b[0] < c.lo || b[0] > c.hi {
			return false
		}
		c.need--
		c.lo, c.hi = 0x80, 0xBF
		b = b[1:]
	}

	// The standard library is fast for whole runes. Only a rune that is cut at the end of the piece
	// is left to us.
	cut := len(b) - cutRune(b)
	if !utf8.Valid(b[:cut]) {
		return false
	}
	if cut == len(b) {
		return true
	}
	c.begin(b[cut])
	return c.push(b[cut+1:])
}

// done reports whether the text may end here.
func (c *utf8Check) done() bool { return c.need == 0 }

// begin takes the first byte of a rune of two bytes or more. The ranges of the second byte exclude
// overlong forms, surrogates, and runes past U+10FFFF.
func (c *utf8Check) begin(lead byte) {
	c.need, c.lo, c.hi = 1, 0x80, 0xBF
	switch {
	case lead >= 0xF0:
		c.need = 3
	case lead >= 0xE0:
		c.need = 2
	}
	switch lead {
	case 0xE0:
		c.lo = 0xA0
	case 0xED:
		c.hi = 0x9F
	case 0xF0:
		c.lo = 0x90
	case 0xF4:
		c.hi = 0x8F
	}
}

// cutRune returns how many bytes at the end of b begin a rune that is not complete, by its first
// byte alone: 0 to 3.
func cutRune(b []byte) int {
	for n := 1; n <= 3 && n <= len(b); n++ {
		c := b[len(b)-n]
		if utf8.RuneStart(c) {
			if runeLen(c) > n {
				return n
			}
			return 0
		}
	}
	return 0
}

// runeLen returns the length that a rune's first byte announces, or 0 if the byte begins no rune.
func runeLen(lead byte) int {
	switch {
	case lead < 0x80:
		return 1
	case lead < 0xC2 || lead > 0xF4:
		return 0
	case lead < 0xE0:
		return 2
	case lead < 0xF0:
		return 3
	}
	return 4
}
