package rooms

import (
	"slices"
	"sync/atomic"

	"tapecast/rooms/wire"
)

// Recall asks for frames of a room that the tapes no longer hold. Kafka still has their records.
type Recall struct {
	Pattern *Pattern
	Room    string
	Epoch   string
	Lost    string // why the positions are too old; the request is then for the oldest ones that are left
	Payer
	// More means that the asker already has the start of this past. It waits for its user's budget
	// instead of being refused.
	More bool
	// Next means that the room before it in the same join was answered: nobody comes together with it.
	Next bool
	// Judged means that the user's budget was checked when the names of these rooms were asked for.
	// It is not checked again for each room.
	Judged bool
	// After is what the asker has, by partition. UpTo has the same partitions and says how far to
	// read: up to and including the offset.
	After, UpTo []Pos
	// Last is the position of the room's last message up to After, by partition, as far as the
	// asker knows it. The first message after it then has a `prev`.
	Last []Pos
	// Done is called once, on any goroutine, and must not block. The Past may end earlier than
	// asked (see Past.UpTo).
	Done func(*Past, error)
	// Names, if set, is called instead of Done. Room is then a prefix, and the question is which of
	// the pattern's rooms have a message in the range. If there are more than Most (0: any number),
	// a few more than Most are enough.
	Names func([]string, error)
	Most  int
	// TakeBack is called, on any goroutine, when others need the memory of a Past whose asker has
	// been sent nothing for a while, or little for long. The asker then releases the Past, and asks
	// again once its socket accepts bytes. TakeBack must not block. If it is nil, nothing is taken back.
	TakeBack func(*Past)

	dropped atomic.Bool
}

// Refuse answers with the reason why the asker gets nothing.
func (r *Recall) Refuse(err error) {
	if r.Names != nil {
		r.Names(nil, err)
		return
	}
	r.Done(nil, err)
}

// Drop notes that nobody waits for the answer. Done is still called. Any goroutine may call Drop.
func (r *Recall) Drop() { r.dropped.Store(true) }

// Dropped reports whether Drop was called.
func (r *Recall) Dropped() bool { return r.dropped.Load() }

// Past is one asker's hold on frames of one room that were read again. The frames never change and
// are shared by all askers.
type Past struct {
	// UpTo is how far the frames go, by partition, if they end before what was asked for. The asker
	// asks for the rest once it has been sent all of them. Nil: they are complete.
	UpTo []Pos

	c       *chunk
	at      atomic.Int64 // number of the next frame to be sent
	release atomic.Pointer[func()]
}

// NewPast builds the frames of records of one room, which must be in order within each partition.
// The argument last has the position of the room's message before them, by partition. Without it
// the first message of a partition has no `prev`.
func NewPast(p *Pattern, room string, records []Record, last []Pos) *Past {
	past := &Past{c: &chunk{at: make([]frameAt, 0, len(records))}}
	var seen chain
	for _, l := range last {
		seen.set(l.Partition, l.Offset)
	}
	var head []byte
	for i := range records {
		r := &records[i]
		prev, known := seen.last(r.Partition)
		if !known {
			prev = unknown
		}
		seen.set(r.Partition, r.Offset)
		op, value, tail := byte(wire.OpText), r.Value, brace
		if p.Bare {
			if head, tail = head[:0], nil; r.Binary {
				op = wire.OpBinary
			}
		} else {
			e := wire.Envelope{
				Room: room, Type: r.Type, Key: r.Key, HasKey: r.HasKey,
				Partition: r.Partition, Offset: r.Offset, Prev: prev, Time: r.Time,
			}
			if head = e.Append(head[:0]); value == nil {
				value = null
			}
		}
		b := wire.AppendHeader(past.c.buf, op, len(head)+len(value)+len(tail))
		b = append(b, head...)
		b = append(b, value...)
		past.c.buf = append(b, tail...)
		past.c.at = append(past.c.at, frameAt{end: uint32(len(past.c.buf)), source: source(r.Partition), off: r.Offset})
	}
	past.c.buf = slices.Clip(past.c.buf)
	return past
}

// Share returns another hold on the same frames, up to the positions in upTo (see Past.UpTo).
// release is called once, when the holder calls Release.
func (p *Past) Share(upTo []Pos, release func()) *Past {
	held := &Past{UpTo: upTo, c: p.c}
	if release != nil {
		held.release.Store(&release)
	}
	return held
}

// Release gives up the frames when the holder has been sent them or is gone. It may be called more
// than once, and on a nil Past.
func (p *Past) Release() {
	if p == nil {
		return
	}
	if f := p.release.Swap(nil); f != nil {
		(*f)()
	}
}

// Sent notes that the holder has been sent all frames before number at. Any goroutine may read it
// with At.
func (p *Past) Sent(at int) { p.at.Store(int64(at)) }

// At returns the number of the next frame that the holder lacks.
func (p *Past) At() int { return int(p.at.Load()) }

// Reached returns the holder's positions once it has been sent the frames before number at that Cut
// returns with the same filter and upTo.
func (p *Past) Reached(at int, filter *Filter, upTo []Pos) []Pos {
	has := slices.Clone(filter.Have)
	for _, f := range p.c.at[:at] {
		if within(has, f.source.partition(), f.off) || !within(upTo, f.source.partition(), f.off) {
			continue
		}
		setIn(has, f.source.partition(), f.off)
	}
	return has
}

// Lasts returns last, raised to the room's last message of each partition among the frames before
// number at and up to upTo.
func (p *Past) Lasts(at int, upTo, last []Pos) []Pos {
	last = slices.Clone(last)
	found := make([]bool, len(upTo))
	for left := len(upTo); at > 0 && left > 0; {
		at--
		f := p.c.at[at]
		i := slices.IndexFunc(upTo, func(u Pos) bool { return u.Partition == f.source.partition() })
		if i < 0 || found[i] || f.off > upTo[i].Offset {
			continue
		}
		found[i] = true
		left--
		if !setIn(last, f.source.partition(), f.off) {
			last = append(last, Pos{f.source.partition(), f.off})
		}
	}
	return last
}

// NoPast returns a past without frames. Its holder has everything up to the positions in after, and
// asks for more at once.
func NoPast(after []Pos) *Past { return &Past{UpTo: slices.Clone(after), c: &chunk{}} }

// Frames returns how many frames there are.
func (p *Past) Frames() int { return len(p.c.at) }

// Size returns its memory in bytes.
func (p *Past) Size() int64 { return int64(cap(p.c.buf) + cap(p.c.at)*frameSize) }

// Cut appends to dst the frames from number at on, without those that the filter leaves out and
// those after upTo. It stops at max bytes, but appends at least one frame, and returns the number
// to continue from.
func (p *Past) Cut(at, max int, filter *Filter, upTo []Pos, dst []Piece) (next int, pieces []Piece) {
	had := len(dst)
	for ; at < len(p.c.at); at++ {
		f := p.c.at[at]
		if within(filter.Have, f.source.partition(), f.off) || !within(upTo, f.source.partition(), f.off) {
			continue
		}
		one := Piece{Bytes: p.c.buf[p.c.start(at):f.end], first: uint64(at), c: p.c, from: at, to: at + 1}
		if !filter.wantsKey(one.Bytes) {
			continue
		}
		if max -= len(one.Bytes); max < 0 && len(dst) > had {
			break
		}
		if k := len(dst) - 1; k >= had && dst[k].join(&one) {
			continue
		}
		if len(dst) == had+maxPieces {
			break
		}
		dst = append(dst, one)
	}
	return at, dst
}
