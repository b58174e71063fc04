package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// A message's value is JSON of exactly the size asked for:
//
//	{"t":1699123456789012345,"n":1000000042,"p":"xxxx…"}
//
// t is when the message was due (ns since 1970), n its number counted from
// numberBase. Both have a fixed width until the year 2286, so that their place
// is known: from the end of a frame, since the value stands last in the
// envelope too. fields may add members between n and p.
const (
	numberBase  = 1_000_000_000 // keeps n at ten digits: JSON knows no leading zeros
	numberWidth = 10
	timeAt      = len(`{"t":`)
	timeWidth   = 19
	numberAt    = timeAt + timeWidth + len(`,"n":`)
	fieldsAt    = numberAt + numberWidth
	minValue    = fieldsAt + len(`,"p":""}`)
)

// valueHead is `{"t":1` as the fast path compares it, four bytes of it.
const valueHead = uint32('{') | '"'<<8 | 't'<<16 | '"'<<24

// valueShape makes and checks values of one size.
type valueShape struct {
	template []byte // a whole value, t and n zero
}

// newValueShape returns the shape of values of size bytes. fields is "" or
// further members, like `"s":"BTCUSDT"`.
func newValueShape(size int, fields string) (valueShape, error) {
	head := fmt.Sprintf(`{"t":%019d,"n":%010d`, 0, 0)
	if fields != "" {
		head += "," + fields
	}
	head += `,"p":"`
	pad := size - len(head) - len(`"}`)
	if pad < 0 {
		return valueShape{}, fmt.Errorf("a value of %d bytes is too small: it takes %d for its time and number", size, len(head)+2)
	}
	v := valueShape{template: []byte(head)}
	v.template = append(v.template, bytes.Repeat([]byte{'x'}, pad)...)
	v.template = append(v.template, `"}`...)
	if !json.Valid(v.make(nil, math.MaxInt64, 0)) {
		return valueShape{}, fmt.Errorf("the fields %q make no valid JSON: members like \"s\":\"BTCUSDT\" are wanted", fields)
	}
	return v, nil
}

func (v valueShape) size() int { return len(v.template) }

// make appends the value of message n, due at t, to dst.
func (v valueShape) make(dst []byte, t, n int64) []byte {
	at := len(dst)
	dst = append(dst, v.template...)
	putDigits(dst[at+timeAt:at+timeAt+timeWidth], uint64(t))
	putDigits(dst[at+numberAt:at+numberAt+numberWidth], uint64(n+numberBase))
	return dst
}

// same says whether p is the value of message n, due at t, to the last byte.
func (v valueShape) same(p []byte, t, n int64) bool {
	return len(p) == len(v.template) &&
		bytes.Equal(p[:timeAt], v.template[:timeAt]) &&
		parseTime(p) == t &&
		bytes.Equal(p[timeAt+timeWidth:numberAt], v.template[timeAt+timeWidth:numberAt]) &&
		parseNumber(p) == n &&
		bytes.Equal(p[fieldsAt:], v.template[fieldsAt:])
}

// parseNumber returns the number of the value p, which has at least minValue
// bytes, or -1 where no number stands there.
func parseNumber(p []byte) int64 {
	p = p[numberAt : numberAt+numberWidth]
	a, b := p[0]-'0', p[1]-'0'
	low, ok := parse8(p[2:])
	if a == 0 || a > 9 || b > 9 || !ok {
		return -1
	}
	return int64(a)*1e9 + int64(b)*1e8 + int64(low) - numberBase
}

// parseTime returns the due time of the value p, or -1.
func parseTime(p []byte) int64 {
	p = p[timeAt : timeAt+timeWidth]
	var high uint64
	for _, c := range p[:3] {
		if c-'0' > 9 {
			return -1
		}
		high = high*10 + uint64(c-'0')
	}
	mid, ok1 := parse8(p[3:])
	low, ok2 := parse8(p[11:])
	if !ok1 || !ok2 || high > 921 {
		return -1
	}
	return int64(high*1e16 + mid*1e8 + low)
}

// parse8 reads eight decimal digits in one word: a pair, a quadruple and the
// whole are summed by one multiplication each.
func parse8(p []byte) (uint64, bool) {
	v := binary.LittleEndian.Uint64(p)
	const lower, upper = 0x3030303030303030, 0xf0f0f0f0f0f0f0f0
	if v&upper != lower || (v+0x0606060606060606)&upper != lower {
		return 0, false
	}
	v = (v & 0x0f0f0f0f0f0f0f0f) * (10<<8 + 1) >> 8
	v = (v & 0x00ff00ff00ff00ff) * (100<<16 + 1) >> 16
	return (v & 0x0000ffff0000ffff) * (10000<<32 + 1) >> 32, true
}

func putDigits(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}
