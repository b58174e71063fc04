package tlsconn

import "math"

// smallRecord is the size below which a TLS record is small, without its header. The records that
// crypto/tls handles by itself are small: key updates, for each of which it derives keys and may
// answer, and empty records. crypto/tls bounds only how many of them come in a row.
const smallRecord = 128

// records counts the small records in ciphertext that comes in pieces, by their headers (RFC 8446,
// 5.1). Its zero value is at the start of a record.
type records struct {
	small uint32
	left  uint16  // bytes of the record that are missing
	nhead uint8   // bytes of the header that have come
	size  [2]byte // the last of them
}

// pass counts in the next piece.
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
