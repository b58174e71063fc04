package job

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
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
	TimeAt      = len(`{"t":`)
	timeWidth   = 19
	NumberAt    = TimeAt + timeWidth + len(`,"n":`)
	fieldsAt    = NumberAt + numberWidth
	minValue    = fieldsAt + len(`,"p":""}`)
)

// A recorded value, a JSON object, keeps its bytes and gets a stamp at its end,
// of which t and n stand where a value of our own has them:
//
//	{…recorded…,"@":1699123456789012345,"#":1000000042,"%":2345678901}
//
// "%" is the checksum (CRC-32C) of all that stands before it, counted from
// numberBase too: a client knows nothing of the recording, but that it is whole.
const (
	stampTemplate = `,"@":0000000000000000000,"#":0000000000,"%":0000000000}`
	StampSize     = len(stampTemplate)
	sumAt         = fieldsAt + len(`,"%":`)
)

// StampMembers are what no recorded value may have itself.
var StampMembers = []string{`"@":`, `"#":`, `"%":`}

// ValueHead is `{"t":1` as the fast path compares it, four bytes of it.
const ValueHead = uint32('{') | '"'<<8 | 't'<<16 | '"'<<24

// StampHead is `,"@":` likewise.
const StampHead = uint32(',') | '"'<<8 | '@'<<16 | '"'<<24

// ValueShape makes and checks values of one size, or the stamps of recorded ones.
type ValueShape struct {
	template []byte // a whole value or stamp, t and n zero
	Stamp    bool
	recorded [][]byte // what stands before the stamps, in turn; only who makes them has it
}

// NewStampShape returns the shape of the stamps of recorded values, which come
// without the brace that ends them.
func NewStampShape(recorded [][]byte) ValueShape {
	return ValueShape{template: []byte(stampTemplate), Stamp: true, recorded: recorded}
}

// NewValueShape returns the shape of values of size bytes. fields is "" or
// further members, like `"s":"BTCUSDT"`.
func NewValueShape(size int, fields string) (ValueShape, error) {
	head := fmt.Sprintf(`{"t":%019d,"n":%010d`, 0, 0)
	if fields != "" {
		head += "," + fields
	}
	head += `,"p":"`
	pad := size - len(head) - len(`"}`)
	if pad < 0 {
		return ValueShape{}, fmt.Errorf("a value of %d bytes is too small: it takes %d for its time and number", size,
			len(head)+2)
	}
	v := ValueShape{template: []byte(head)}
	v.template = append(v.template, bytes.Repeat([]byte{'x'}, pad)...)
	v.template = append(v.template, `"}`...)
	if !json.Valid(v.Make(nil, math.MaxInt64, 0)) {
		return ValueShape{}, fmt.Errorf("the fields %q make no valid JSON: members like \"s\":\"BTCUSDT\" are wanted",
			fields)
	}
	return v, nil
}

// Size is how many bytes a value has; of recorded ones, their stamp.
func (v ValueShape) Size() int { return len(v.template) }

// Make appends the value of message n, due at t, to dst.
func (v ValueShape) Make(dst []byte, t, n int64) []byte {
	from := len(dst)
	if v.Stamp {
		dst = append(dst, v.recorded[n%int64(len(v.recorded))]...)
	}
	at := len(dst)
	dst = append(dst, v.template...)
	putDigits(dst[at+TimeAt:at+TimeAt+timeWidth], uint64(t))
	putDigits(dst[at+NumberAt:at+NumberAt+numberWidth], uint64(n+numberBase))
	if v.Stamp {
		putDigits(dst[at+sumAt:at+sumAt+numberWidth], sumOf(dst[from:at+sumAt]))
	}
	return dst
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is the checksum of p as a stamp has it.
func sumOf(p []byte) uint64 { return uint64(crc32.Checksum(p, castagnoli)) + numberBase }

// WholeStamped reports whether the checksum of the value p, whose stamp begins at at,
// is that of what stands before it.
func WholeStamped(p []byte, at int) bool {
	var sum [numberWidth]byte
	putDigits(sum[:], sumOf(p[:at+sumAt]))
	return bytes.Equal(p[at+sumAt:at+sumAt+numberWidth], sum[:])
}

// Same reports whether p is the value of message n, due at t, to the last byte; of a
// stamp, but for its checksum.
func (v ValueShape) Same(p []byte, t, n int64) bool {
	end := len(v.template)
	if v.Stamp {
		end = sumAt
	}
	return len(p) == len(v.template) &&
		bytes.Equal(p[:TimeAt], v.template[:TimeAt]) &&
		ParseTime(p) == t &&
		bytes.Equal(p[TimeAt+timeWidth:NumberAt], v.template[TimeAt+timeWidth:NumberAt]) &&
		ParseNumber(p) == n &&
		bytes.Equal(p[fieldsAt:end], v.template[fieldsAt:end])
}

// ParseNumber returns the number of the value p, which has at least minValue
// bytes, or -1 where no number stands there.
func ParseNumber(p []byte) int64 {
	p = p[NumberAt : NumberAt+numberWidth]
	a, b := p[0]-'0', p[1]-'0'
	low, ok := parse8(p[2:])
	if a == 0 || a > 9 || b > 9 || !ok {
		return -1
	}
	return int64(a)*1e9 + int64(b)*1e8 + int64(low) - numberBase
}

// ParseTime returns the due time of the value p, or -1.
func ParseTime(p []byte) int64 {
	p = p[TimeAt : TimeAt+timeWidth]
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

// MaxEnvelope is what an envelope may add to a value; notices share the bound.
const MaxEnvelope = 64 << 10
