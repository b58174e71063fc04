package tlsconn

import "math"

// smallRecord is a TLS record of fewer bytes than that, header apart. What crypto/tls
// keeps to itself is small: key updates, of which each derives keys and may have us
// answer, and empty records. It bounds those that follow each other within a record,
// and no more.
const smallRecord = 128

// records counts the small records in ciphertext that comes in pieces, by what their
// headers say (RFC 8446, 5.1). Its zero value stands before a record.
type records struct {
	small uint32
	left  uint16  // bytes of the record that have not come
	nhead uint8   // bytes of a header that have
	size  [2]byte // the last of them
}

// pass is given the next piece.
func (r *records) pass(b []byte) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(int(r.left), len(b))
			r.left -= uint16(n)
			b = b[n:]
			continue
		}
		if r.nhead >= 3 {
			r.size[r.nhead-3] = b[0]
		}
		b = b[1:]
		if r.nhead++; r.nhead < 5 {
			continue
		}
		r.nhead, r.left = 0, uint16(r.size[0])<<8|uint16(r.size[1])
		if r.left < smallRecord && r.small < math.MaxUint32 {
			r.small++
		}
	}
}
