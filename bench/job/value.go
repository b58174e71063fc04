package job

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
)

// A message's value is JSON of exactly the size asked for:
//
//	{"t":1699123456789012345,"n":1000000042,"p":"xxxx…"}
//
// t is when the message was due (ns since 1970), n its number plus numberBase. Both have
// a fixed width until the year 2286. The value stands last in the envelope too, so both
// are at a fixed offset from the end of a frame. Further fields stand between n and p.
const (
	numberBase  = 1_000_000_000 // keeps n at ten digits: a JSON number has no leading zeros
	numberWidth = 10
	TimeAt      = len(`{"t":`)
	timeWidth   = 19
	NumberAt    = TimeAt + timeWidth + len(`,"n":`)
	fieldsAt    = NumberAt + numberWidth
	minValue    = fieldsAt + len(`,"p":""}`)
)

// A recorded value is a JSON object. It keeps its bytes and gets a stamp at its end,
// with t and n at the same offsets as in a value of our own:
//
//	{…recorded…,"@":1699123456789012345,"#":1000000042,"%":2345678901}
//
// "%" is the checksum (CRC-32C) of everything before it, plus numberBase. Clients do not
// have the recording, so the checksum is their only proof that a value is whole.
const (
	stampTemplate = `,"@":0000000000000000000,"#":0000000000,"%":0000000000}`
	StampSize     = len(stampTemplate)
	sumAt         = fieldsAt + len(`,"%":`)
)

// StampMembers must not appear in a recorded value.
var StampMembers = []string{`"@":`, `"#":`, `"%":`}

// ValueHead is the first four bytes of a value, as the fast path compares them.
const ValueHead = uint32('{') | '"'<<8 | 't'<<16 | '"'<<24

// StampHead is the first four bytes of a stamp.
const StampHead = uint32(',') | '"'<<8 | '@'<<16 | '"'<<24

// ValueShape makes and checks values of one size, or the stamps of recorded values.
type ValueShape struct {
	template []byte // a whole value or stamp, with t and n zero
	Stamp    bool
	recorded [][]byte // what stands before the stamps, in turn; only the publisher has it
}

// NewStampShape returns the shape of stamps. The recorded values lack their closing brace.
func NewStampShape(recorded [][]byte) ValueShape {
	return ValueShape{template: []byte(stampTemplate), Stamp: true, recorded: recorded}
}

// NewValueShape returns the shape of values of size bytes, with further members like `"s":"BTCUSDT"`.
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
		return ValueShape{}, fmt.Errorf("the fields %q are not valid JSON: give members like \"s\":\"BTCUSDT\"",
			fields)
	}
	return v, nil
}

// Size returns how many bytes a value has. Of recorded values it is the stamp's size.
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

// sumOf returns the checksum of p in the form of a stamp.
func sumOf(p []byte) uint64 { return uint64(crc32.Checksum(p, castagnoli)) + numberBase }

// WholeStamped reports whether a recorded value has its stamp's checksum. The stamp is at p[at].
func WholeStamped(p []byte, at int) bool {
	var sum [numberWidth]byte
	putDigits(sum[:], sumOf(p[:at+sumAt]))
	return bytes.Equal(p[at+sumAt:at+sumAt+numberWidth], sum[:])
}

// Same reports whether p is the value of message n, due at t. A stamp's checksum is not compared.
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

// ParseNumber returns the number of a value of minValue bytes or more, or -1 if it holds none there.
func ParseNumber(p []byte) int64 {
	p = p[NumberAt : NumberAt+numberWidth]
	a, b := p[0]-'0', p[1]-'0'
	low, ok := parse8(p[2:])
	if a == 0 || a > 9 || b > 9 || !ok {
		return -1
	}
	return int64(a)*1e9 + int64(b)*1e8 + int64(low) - numberBase
}

// ParseTime returns the due time of a value, or -1 if it holds none there.
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

// parse8 parses eight decimal digits in one word. One multiplication each sums the pairs,
// the quadruples and the whole.
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

// ValueTemplate is a user's own envelope around each value, as the user's topics have
// it. It belongs to the publisher's goroutine.
type ValueTemplate struct {
	texts []string // the text before each hole, and after the last one
	holes []string // what fills each hole
}

// The holes of a template.
const (
	holeValue = "{{value}}" // the JSON object that the clients time and check
	holeKey   = "{{key}}"   // the record's key, without quotes
	holeSeq   = "{{seq}}"   // the message's number
)

// mostTemplate bounds what a template adds: it comes back to the clients inside an envelope.
const mostTemplate = MaxEnvelope / 2

// ParseTemplate parses a template. It must hold the value once, and must be JSON when
// all holes are filled. An empty text gives nil, no template.
func ParseTemplate(text string) (*ValueTemplate, error) {
	if text == "" {
		return nil, nil
	}
	t := &ValueTemplate{}
	for rest := text; ; {
		at, hole := len(rest), ""
		for _, h := range []string{holeValue, holeKey, holeSeq} {
			if k := strings.Index(rest, h); k >= 0 && k < at {
				at, hole = k, h
			}
		}
		t.texts = append(t.texts, rest[:at])
		if hole == "" {
			break
		}
		t.holes = append(t.holes, hole)
		rest = rest[at+len(hole):]
	}
	switch {
	case strings.Count(text, holeValue) != 1:
		return nil, Inputf("--value-template: it must hold %s once, where the message's own value goes", holeValue)
	case len(text) > mostTemplate:
		return nil, Inputf("--value-template: %d bytes are more than %d", len(text), mostTemplate)
	case !json.Valid(t.Fill(nil, []byte("{}"), "k", 1)):
		return nil, Inputf("--value-template: with %s, %s and %s filled in it is not JSON: %.100q",
			holeValue, holeKey, holeSeq, text)
	}
	return t, nil
}

// Fill appends the template with the message's own value, key and number.
func (t *ValueTemplate) Fill(dst, value []byte, key string, n int64) []byte {
	for k, text := range t.texts {
		dst = append(dst, text...)
		if k == len(t.holes) {
			break
		}
		switch t.holes[k] {
		case holeValue:
			dst = append(dst, value...)
		case holeKey:
			dst = append(dst, key...)
		case holeSeq:
			dst = strconv.AppendInt(dst, n, 10)
		}
	}
	return dst
}
