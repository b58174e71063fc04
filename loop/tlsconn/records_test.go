package tlsconn

import (
	"bytes"
	"testing"
)

// TestRecords: small records are counted, however their bytes are cut.
func TestRecords(t *testing.T) {
	b := []byte{}
	for _, n := range []int{0, 1, 127, 128, 20, 16 << 10, 3} {
		b = append(b, 23, 3, 3, byte(n>>8), byte(n))
		b = append(b, bytes.Repeat([]byte{23}, n)...)
	}
	for _, step := range []int{1, 2, 3, 7, 100, len(b)} {
		var r records
		for rest := b; len(rest) > 0; {
			n := min(step, len(rest))
			r.pass(rest[:n])
			rest = rest[n:]
		}
		if r.small != 5 || r.left != 0 || r.nhead != 0 {
			t.Errorf("in steps of %d: %+v", step, r)
		}
	}
}
