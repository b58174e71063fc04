package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

// frame is one data frame: an envelope in exactly the form of the protocol.
type frame struct {
	room, typ, key string
	hasKey         bool
	part           int32
	off            int64
	prev           int64 // noPrev if it is left out
	ts             int64
	data           []byte // nil if the client keeps only sums
	sum            uint32 // checksum of data
}

const noPrev = -2

var frameStart = []byte(`{"room":`)

// parseFrame parses an envelope by its bytes, not as JSON. Order and spacing of the fields
// are tested too, and data must come out unchanged.
func parseFrame(p []byte) (f frame, err error) {
	c := cutter{rest: p}
	f.room = c.text(`{"room":`)
	f.typ = c.text(`,"type":`)
	if f.hasKey = bytes.HasPrefix(c.rest, []byte(`,"key":`)); f.hasKey {
		f.key = c.text(`,"key":`)
	}
	f.part, f.off = c.pos(`,"pos":`)
	f.prev = noPrev
	if bytes.HasPrefix(c.rest, []byte(`,"prev":`)) {
		part, prev := c.pos(`,"prev":`)
		if part != f.part {
			c.bad("prev of partition %d in a frame of partition %d", part, f.part)
		}
		f.prev = prev
	}
	f.ts = c.number(`,"ts":`)
	c.want(`,"data":`)
	if c.err == nil && (len(c.rest) < 2 || c.rest[len(c.rest)-1] != '}') {
		c.bad("no brace at the end")
	}
	if c.err != nil {
		return frame{}, fmt.Errorf("%w in %.300q", c.err, p)
	}
	f.data = c.rest[:len(c.rest)-1]
	f.sum = crc32.ChecksumIEEE(f.data)
	return f, nil
}

// cutter takes pieces off the front of rest until one does not fit.
type cutter struct {
	rest []byte
	err  error
}

func (c *cutter) bad(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *cutter) want(s string) bool {
	if c.err == nil && bytes.HasPrefix(c.rest, []byte(s)) {
		c.rest = c.rest[len(s):]
		return true
	}
	c.bad("no %q where it should be", s)
	return false
}

func (c *cutter) text(label string) string {
	if !c.want(label) || len(c.rest) == 0 || c.rest[0] != '"' {
		c.bad("no text after %q", label)
		return ""
	}
	plain := true
	for i := 1; i < len(c.rest); i++ {
		switch b := c.rest[i]; {
		case b == '\\':
			plain = false
			i++
		case b == '"':
			s := string(c.rest[1:i])
			if !plain { // escapes, or invalid JSON
				if err := json.Unmarshal(c.rest[:i+1], &s); err != nil {
					c.bad("%v after %q", err, label)
				}
			}
			c.rest = c.rest[i+1:]
			return s
		case b < ' ' || b > '~':
			plain = false
		}
	}
	c.bad("no end of the text after %q", label)
	return ""
}

func (c *cutter) digits() int64 {
	i := 0
	for i < len(c.rest) && c.rest[i] >= '0' && c.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(string(c.rest[:i]), 10, 64)
	if err != nil {
		c.bad("no number: %v", err)
	}
	c.rest = c.rest[i:]
	return n
}

func (c *cutter) number(label string) int64 {
	c.want(label)
	return c.digits()
}

func (c *cutter) pos(label string) (part int32, off int64) {
	c.want(label + `"`)
	part = int32(c.digits())
	c.want(":")
	off = c.digits()
	c.want(`"`)
	return part, off
}

// positions are a room's positions, like {"epoch":"k3x9","0":1234}.
type positions struct {
	epoch string
	at    map[int32]int64
}

// object returns the positions as a client sends them.
func (p positions) object() map[string]any {
	m := map[string]any{"epoch": p.epoch}
	for part, off := range p.at {
		m[strconv.Itoa(int(part))] = off
	}
	return m
}

func (p *positions) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	p.at = map[int32]int64{}
	for k, v := range m {
		if k == "epoch" {
			if err := json.Unmarshal(v, &p.epoch); err != nil {
				return err
			}
			continue
		}
		part, err := strconv.ParseInt(k, 10, 32)
		if err != nil {
			return fmt.Errorf("partition %q in positions %s", k, b)
		}
		off, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || off < -1 {
			return fmt.Errorf("offset %s in positions %s", v, b)
		}
		p.at[int32(part)] = off
	}
	return nil
}

// deflateEnd is what permessage-deflate leaves out at a message's end, and a final block
// that ends the stream.
const deflateEnd = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

func inflateMessage(p []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader(deflateEnd))))
}

func deflateMessage(t testing.TB, s string, level int) string {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write([]byte(s)); err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

// marketText returns n bytes that look like quotes, with random parts.
func marketText(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, `{"s":"SYM%d","b":"%d.%02d","a":"%x"}`, rnd.IntN(50), rnd.IntN(90_000),
			rnd.IntN(100), rnd.Uint64())
	}
	return b.String()[:n]
}
