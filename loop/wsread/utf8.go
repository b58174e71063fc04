package wsread

import "unicode/utf8"

// utf8Check validates UTF-8 that arrives in pieces, cut anywhere. Its zero value is at the start of
// a text. It fails at the first byte that cannot continue the text (RFC 3629, section 4), and not
// at the end of the rune, so that a bad client is told at once.
type utf8Check struct {
	cut [utf8.UTFMax]byte // the rune in progress
	n   uint8             // bytes of it that have come
}

// push takes the next piece. It returns false if the text so far cannot become valid. The check
// must not be used further then.
func (c *utf8Check) push(b []byte) bool {
	for c.n > 0 && len(b) > 0 {
		c.cut[c.n] = b[0]
		c.n++
		b = b[1:]
		if r := c.cut[:c.n]; utf8.FullRune(r) { // it is complete, or bad
			if !utf8.Valid(r) {
				return false
			}
			c.n = 0
		}
	}
	whole := len(b)
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				whole = i
			}
			break
		}
	}
	if whole < len(b) {
		c.n = uint8(copy(c.cut[:], b[whole:]))
	}
	return utf8.Valid(b[:whole])
}

// done reports whether the text may end here.
func (c *utf8Check) done() bool { return c.n == 0 }
