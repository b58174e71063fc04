package rooms

import (
	"strconv"
	"strings"

	"tapecast/rooms/wire"
)

// MaxMarked is how many partitions the id of an event names at most.
const MaxMarked = 16

// maxMark is how long an id may be that a client sends back.
const maxMark = 64 << 10

// maxEvents is how many bytes an Events keeps for the next visit.
const maxEvents = 1 << 20

// Events makes pieces of server-sent events of pieces of frames, for members that read those. Its
// zero value is ready. It must be used by one goroutine at a time.
type Events struct{ c chunk }

// Reset forgets all pieces that were made, and uses their memory again.
func (e *Events) Reset() {
	if len(e.c.buf) > maxEvents {
		e.c = chunk{}
		return
	}
	e.c.buf, e.c.at, e.c.times = e.c.buf[:0], e.c.at[:0], e.c.times[:0]
}

// Piece returns a piece with an event for each frame of p, under the same number. It is valid until
// Reset. If p has events already, it is returned as it is. If mark is not nil, each event has an id for
// as long as mark knows it, and p must be plain.
func (e *Events) Piece(p Piece, mark *Mark) Piece {
	if p.c != nil && p.c.events {
		return p
	}
	c := &e.c
	if len(c.at) == 0 {
		c.buf, c.at, c.times = c.buf[:0], append(c.at, frameAt{}), append(c.times, noTime)
		if c.wall = 0; p.c != nil {
			c.wall = p.c.wall
		}
	}
	from, begin := len(c.at), len(c.buf)
	for i := range p.Frames() {
		frame := p.frame(i)
		var id []byte
		if mark != nil && mark.at.Epoch != "" {
			id = mark.next(p.record(i))
		}
		c.buf = wire.AppendEvent(c.buf, id, frame[wire.HeaderLen(frame):])
		c.at = append(c.at, frameAt{end: uint32(len(c.buf))})
		c.times = append(c.times, c.timeOf(p.Time(i)))
	}
	return Piece{Bytes: c.buf[begin:], first: p.first, c: c, from: from, to: len(c.at)}
}

// frame returns frame i of the piece.
func (p *Piece) frame(i int) []byte {
	if p.c == nil {
		return p.Bytes
	}
	i += p.from
	return p.c.buf[p.c.start(i):p.c.at[i].end]
}

// record returns where the record of frame i lies. ok is false if the frame is of no record.
func (p *Piece) record(i int) (partition int32, offset int64, ok bool) {
	if p.c == nil {
		return wire.PosOf(p.Bytes)
	}
	f := p.c.at[p.from+i]
	return f.source.partition(), f.off, f.source.record()
}

// Mark is where a member is in its room, as the ids of its events say. A nil Mark knows nothing.
type Mark struct {
	at   Positions
	own  bool // at.Offsets are the Mark's
	text []byte
}

// Set makes the mark begin at positions that the member has. They are shared, and stay as they are.
func (m *Mark) Set(at Positions) {
	m.at, m.own = at, false
	if len(at.Offsets) > MaxMarked {
		m.at = Positions{}
	}
}

// next returns the id of the event of a record: the positions after it. It is empty if they are not
// known. After a frame without a record they are not known until Set: a notice may have changed them.
func (m *Mark) next(part int32, off int64, ok bool) []byte {
	if !ok {
		m.at = Positions{}
		return nil
	}
	if !m.own {
		m.at, m.own = Positions{Epoch: m.at.Epoch, Offsets: append([]Pos(nil), m.at.Offsets...)}, true
	}
	o := m.at.of(part)
	if o == nil {
		m.at = Positions{}
		return nil
	}
	o.Offset = max(o.Offset, off)
	m.text = m.at.AppendMark(m.text[:0])
	return m.text
}

// AppendMark appends the positions as the id of an event: "k3x9/0:1234,1:77". It is empty if they are
// not known.
func (p Positions) AppendMark(dst []byte) []byte {
	if p.Epoch == "" {
		return dst
	}
	dst = append(append(dst, p.Epoch...), '/')
	for i, o := range p.Offsets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(o.Partition), 10)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, o.Offset, 10)
	}
	return dst
}

// ParseMark reads the id of an event.
func ParseMark(id string) (p Positions, ok bool) {
	at := strings.LastIndexByte(id, '/')
	if at < 0 {
		return p, false
	}
	epoch, list := id[:at], id[at+1:]
	if epoch == "" || list == "" || len(id) > maxMark {
		return p, false
	}
	p.Epoch = epoch
	for pair := range strings.SplitSeq(list, ",") {
		part, off, _ := strings.Cut(pair, ":")
		n, err := strconv.ParseInt(part, 10, 32)
		o, bad := strconv.ParseInt(off, 10, 64)
		if err != nil || bad != nil || n < 0 || o < -1 || posOf(p.Offsets, int32(n)) != nil {
			return p, false
		}
		p.Offsets = append(p.Offsets, Pos{int32(n), o})
	}
	return p, true
}
