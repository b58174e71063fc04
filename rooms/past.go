package rooms

import "slices"

// Recall asks for what a room got in a stretch of its topic that the tapes no
// longer hold.
type Recall struct {
	Pattern *Pattern
	Room    string
	Epoch   string
	User    string // that pays for what is read; "": nobody in particular
	// After is what the asker has, by partition; UpTo, of the same partitions, is
	// how far to go: up to and including the offset.
	After, UpTo []Pos
	// Done is called once, on any goroutine, and must not block.
	Done func(*Past, error)
}

// Past is a run of one room's frames that were read again. It never changes, and
// all who ask for the room share it.
type Past struct{ c *chunk }

// NewPast makes the frames of records of one room, each partition's in order.
func NewPast(p *Pattern, room string, records []Record) *Past {
	past := &Past{&chunk{at: make([]frameAt, 0, len(records))}}
	var seen chain
	var head []byte
	var keys part
	for i := range records {
		r := &records[i]
		keys.arena = keys.arena[:0]
		it := item{typ: r.Type, hasKey: r.HasKey, part: r.Partition, off: r.Offset, time: r.Time, value: r.Value, key: keys.keep(r.Key)}
		prev, known := seen.last(r.Partition)
		if !known {
			prev = unknown
		}
		seen.set(r.Partition, r.Offset)
		op, value, tail := byte(OpText), r.Value, brace
		if p.Bare {
			if head, tail = head[:0], nil; r.Binary {
				op = OpBinary
			}
		} else if head = appendEnvelope(head[:0], room, &keys, &it, prev); value == nil {
			value = null
		}
		b := appendHeader(past.c.buf, op, len(head)+len(value)+len(tail))
		b = append(b, head...)
		b = append(b, value...)
		past.c.buf = append(b, tail...)
		past.c.at = append(past.c.at, frameAt{end: uint32(len(past.c.buf)), part: r.Partition, off: r.Offset})
	}
	past.c.buf = slices.Clip(past.c.buf)
	return past
}

// Frames is how many frames there are.
func (p *Past) Frames() int { return len(p.c.at) }

// Size is the memory that it takes, in bytes.
func (p *Past) Size() int64 { return int64(cap(p.c.buf) + cap(p.c.at)*frameSize) }

// Cut appends to dst the frames from number at on that sift does not leave out and
// that come not after upTo, until there are max bytes, one frame at least, and
// returns the number to go on from.
func (p *Past) Cut(at, max int, sift *Sift, upTo []Pos, dst []Piece) (next int, pieces []Piece) {
	had := len(dst)
	for ; at < len(p.c.at); at++ {
		f := p.c.at[at]
		if within(sift.Have, f.part, f.off) || !within(upTo, f.part, f.off) {
			continue
		}
		one := Piece{Bytes: p.c.buf[p.c.start(at):f.end], first: uint64(at), c: p.c, from: at, to: at + 1}
		if !sift.wantsKey(one.Bytes) {
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
