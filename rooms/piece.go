package rooms

import "sort"

// Piece is a run of whole frames that lie back to back in one chunk: what one
// element of a gathered send points to. The bytes are shared and never change.
type Piece struct {
	Bytes []byte

	first    uint64 // number of its first frame in the room
	c        *chunk // nil: one frame, a copy that the last values hold
	from, to int    // frames of the chunk
}

// First returns the number of its first frame in the room.
func (p *Piece) First() uint64 { return p.first }

// Frames returns how many frames the piece holds.
func (p *Piece) Frames() int { return p.to - p.from }

// Time returns Kafka's timestamp of the piece's frame i, in ms since 1970. It is 0 if the
// frame has none, or if it is no longer known.
func (p *Piece) Time(i int) int64 {
	if p.c == nil || p.c.times == nil {
		return 0
	}
	if d := p.c.times[p.from+i]; d != noTime {
		return p.c.wall + int64(d)
	}
	return 0
}

// Sent returns how far the first n bytes of the piece reach: the number of the first frame that has
// not begun, and the unsent rest of the last one that has.
func (p *Piece) Sent(n int) (next uint64, rest []byte) {
	switch {
	case n == 0:
		return p.first, nil
	case p.c == nil:
		return p.first + 1, p.Bytes[n:]
	}
	start := int(p.c.start(p.from))
	at := uint32(start + n)
	i := p.from + sort.Search(p.to-p.from, func(i int) bool { return p.c.at[p.from+i].end >= at })
	return p.first + uint64(i+1-p.from), p.Bytes[n : int(p.c.at[i].end)-start]
}

// Owned reports whether the frame has memory of its own, so that holding its bytes holds nothing
// else.
func (p *Piece) Owned() bool { return p.c == nil || len(p.c.at) == 1 }

// Cut appends to dst the frames from number at on, as whole frames. It stops at max bytes, but
// appends at least one frame, and returns the number of the first frame that it left out. lagged
// reports whether the tape has dropped frame number at. Then nothing is appended, and Tail returns
// where the tape now begins.
func (r *Room) Cut(at uint64, max int, dst []Piece) (next uint64, pieces []Piece, lagged bool) {
	head := r.head.Load()
	if at >= head {
		return at, dst, false
	}
	if r.private() {
		return r.cutRefs(at, head, max, dst)
	}
	dir := *r.tape.dir.Load()
	if len(dir) == 0 || dir[0].first > at {
		return at, dst, true
	}
	next, pieces = cut(dir, at, head, max, dst)
	return next, pieces, false
}

// cut is Cut from the chunks of dir, up to head. Frame number at must be in one of them.
func cut(dir []*chunk, at, head uint64, max int, dst []Piece) (next uint64, pieces []Piece) {
	for i := find(dir, at); i < len(dir) && at < head && max > 0; i++ {
		c, end := dir[i], head
		if i+1 < len(dir) {
			end = min(head, dir[i+1].first)
		}
		from, to := int(at-c.first), int(end-c.first)
		start := c.start(from)
		if int(c.at[to-1].end-start) > max {
			to = from + 1 + sort.Search(to-from-1, func(k int) bool { return int(c.at[from+1+k].end-start) > max })
			max = 0
		}
		p := Piece{Bytes: c.buf[start:c.at[to-1].end], first: at, c: c, from: from, to: to}
		dst = append(dst, p)
		max -= len(p.Bytes)
		at = c.first + uint64(to)
	}
	return at, dst
}
