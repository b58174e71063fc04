package rooms

import (
	"bytes"

	"github.com/klauspost/compress/flate"

	"tapecast/rooms/wire"
)

// Coding is a form in which members are sent a room's frames.
type Coding uint8

const (
	Plain    Coding = iota // as they lie on the room's own tape
	Deflated               // deflated if that is shorter (RFC 7692)
	AsEvents               // as server-sent events
	codings
)

// coded is another tape of a room. It holds the same frames under the same numbers, in another form. It
// exists while at least one member takes that.
type coded struct {
	Tape
	s       *shard
	how     Coding
	scratch []byte
}

// Take counts n more (or fewer) members that take the room's frames in a form. Any goroutine may call it.
// The members of a private room must not: its tape is that of many rooms.
func (r *Room) Take(how Coding, n int) { r.tape.takers[how].Add(int32(n)) }

// coding creates or drops another tape, as the members need it.
func (s *shard) coding(t *Tape, how Coding) {
	z, wanted := t.coded[how].Load(), t.takers[how].Load() > 0
	switch {
	case wanted && z == nil:
		z = &coded{s: s, how: how}
		z.size, z.next = t.size, t.next
		z.head.Store(t.next)
		z.dir.Store(new([]*chunk))
		t.coded[how].Store(z)
	case !wanted && z != nil:
		t.coded[how].Store(nil)
		s.table.used.Add(-z.cost)
	}
}

// recode creates or drops the other tapes of a room.
func (s *shard) recode(r *Room) {
	if r.Class().Deflate {
		s.coding(r.tape, Deflated)
	}
	if !r.private() {
		s.coding(r.tape, AsEvents)
	}
}

// others calls visit for the tape's other tapes.
func (t *Tape) others(visit func(*coded)) {
	for how := Deflated; how < codings; how++ {
		if z := t.coded[how].Load(); z != nil {
			visit(z)
		}
	}
}

// write adds the frame that was just written to the first tape.
func (z *coded) write(frame []byte, k *Class, ts, now int64) {
	made := frame
	switch at := wire.HeaderLen(frame); {
	case z.how == AsEvents:
		z.scratch = wire.AppendEvent(z.scratch[:0], nil, frame[at:])
		made = z.scratch
	case len(frame)-at >= minDeflate:
		z.scratch = z.s.deflater.AppendFrame(z.scratch[:0], frame[0]&^0x80, frame[at:])
		made = z.scratch
	}
	c, cost := z.grow(len(made), k, now, func() []Pos { return nil })
	if z.how == AsEvents && !c.events {
		c.events = true // before any of its frames is published
	}
	copy(c.buf[c.used:], made)
	z.put(c, len(made), 0, 0, ts, now)
	z.s.table.used.Add(cost)
	if z.how == AsEvents {
		z.s.stats.events.Add(1)
		z.s.stats.eventBytes.Add(uint64(len(made)))
		return
	}
	z.s.stats.deflated.Add(1)
	z.s.stats.deflatedFrom.Add(uint64(len(frame)))
	z.s.stats.deflatedTo.Add(uint64(len(made)))
}

// forget drops the chunks that lie entirely before frame number tail.
func (z *coded) forget(tail uint64) {
	n := 0
	for dir := *z.dir.Load(); n+1 < len(dir) && dir[n+1].first <= tail; n++ {
	}
	if n > 0 {
		z.s.table.used.Add(-z.drop(n))
	}
}

// second is the readable part of another tape of a room. Its zero value is empty.
type second struct {
	dir  []*chunk
	head uint64
}

// second returns the tape of a form up to its own head. The tape may have been dropped by now while the
// first one goes on.
func (r *Room) second(how Coding) second {
	z := r.tape.coded[how].Load()
	if z == nil || r.private() {
		return second{}
	}
	return second{*z.dir.Load(), z.head.Load()}
}

// has reports whether the second tape has frame number at.
func (z *second) has(at uint64) bool {
	return at < z.head && len(z.dir) > 0 && z.dir[0].first <= at
}

// piece returns frame number at, or p if the second tape does not have it.
func (z *second) piece(at uint64, p Piece) Piece {
	if !z.has(at) {
		return p
	}
	c := z.dir[find(z.dir, at)]
	i := int(at - c.first)
	return Piece{Bytes: c.buf[c.start(i):c.at[i].end], first: at, c: c, from: i, to: i + 1}
}

// CutAs is Cut for a member that takes frames in a form. Those that the tape of the form does not have
// are plain.
func (r *Room) CutAs(how Coding, at uint64, max int, dst []Piece) (next uint64, pieces []Piece, lagged bool) {
	head := r.head.Load()
	if z := r.second(how); at < head && z.has(at) {
		next, pieces = cut(z.dir, at, min(head, z.head), max, dst)
		return next, pieces, false
	}
	return r.Cut(at, max, dst)
}

const (
	// deflateLevel makes 524 bytes of 1,000 of JSON numbers in 7.4 µs; level 1
	// makes 568 in 6.7, level 6 makes 526 in 8.0.
	deflateLevel = 4

	// minDeflate is the smallest payload that is deflated. Smaller ones hardly shrink.
	minDeflate = 128

	// flushed ends every flush. permessage-deflate leaves it out.
	flushed = "\x00\x00\xff\xff"
)

// Deflater makes frames of permessage-deflate (RFC 7692), each by itself: there is no context
// takeover. Its zero value is ready. It takes 1 MB from the first frame on. It must be used by one
// goroutine at a time.
type Deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

// AppendFrame appends the frame of one message, deflated if that is shorter.
func (d *Deflater) AppendFrame(dst []byte, op byte, payload []byte) []byte {
	if small := d.deflate(payload); small != nil {
		return wire.AppendFrame(dst, wire.Deflated|op, small)
	}
	return wire.AppendFrame(dst, op, payload)
}

// deflate returns the deflated payload, valid until the next call, or nil if it is not shorter.
func (d *Deflater) deflate(payload []byte) []byte {
	if len(payload) < minDeflate {
		return nil
	}
	d.out.Reset()
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.out, deflateLevel) // fails for a bad level only
	} else {
		d.w.Reset(&d.out)
	}
	_, _ = d.w.Write(payload) // a buffer takes all
	_ = d.w.Flush()
	small := bytes.TrimSuffix(d.out.Bytes(), []byte(flushed))
	if len(small) >= len(payload) {
		return nil
	}
	return small
}
