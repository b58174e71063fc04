package rooms

import "slices"

// maxPieces bounds the pieces of one cut, as the kernel bounds a gathered send.
const maxPieces = 256

// CutLatest appends to dst the newest frame of each key that was updated at number at or
// later, in the order of those updates. It stops at max bytes, after one frame at least,
// and returns the number to continue from.
//
// level reports whether nothing newer had been published. A member that has been
// sent all of it then has the newest frame of every key that has changed since it began.
//
// lost reports whether the room has forgotten that a key is gone, at number at or later. Nothing is
// appended then, and the member starts again from 0.
//
// known is Room.Forgotten at the start of a snapshot, or Resume.Known of a member that
// resumes. The walk of a member that lags has none.
func (r *Room) CutLatest(at uint64, known Known, max int, filter *Filter, dst []Piece) (
	next uint64, pieces []Piece, level, lost bool) {
	l := r.last
	if l.lostAt(at, known) {
		return at, dst, false, true
	}
	o, head := r.orderAt()
	n := int(o.n.Load())
	dir := *r.tape.dir.Load() // after the order: a frame that is in no chunk has a copy
	had, z, reset := len(dst), second{}, filter != nil && filter.behindReset(at)
	if filter != nil && filter.Coding != Plain {
		z = r.second(filter.Coding)
	}
	next, level = head, true
	for i := o.from(at, n); i < n; i++ {
		f := o.frames[i]
		if f.num >= head {
			break
		}
		if !f.newestAt(head) || filter != nil && !filter.wantsLast(f, reset) {
			continue
		}
		if f.from == sourceReset && filter != nil {
			filter.reset, reset = f.num+1, true
		}
		p, ok := r.piece(f, dir)
		if !ok {
			continue
		}
		p = z.piece(f.num, p)
		if max -= len(p.Bytes); max < 0 && len(dst) > had {
			next, level = f.num, false
			break
		}
		if k := len(dst) - 1; k >= had && dst[k].join(&p) {
			continue
		}
		if len(dst) == had+maxPieces {
			next, level = f.num, false
			break
		}
		dst = append(dst, p)
	}
	// A key that was forgotten meanwhile has been left out, whether this is the end or not.
	if l.lostAt(at, known) {
		return at, dst[:had], false, true
	}
	return next, dst, level, false
}

// Known says how much had been forgotten when a walk of last values began. A walk with
// the zero value is told of everything that has been forgotten.
type Known struct{ forgotten, evicted uint64 }

// Forgotten returns the Known of a snapshot that begins now. If an older value is evicted before
// it is sent, the snapshot does not begin again, or a slow member would never reach the end:
// Table.Partial reports such a value. If a later value is evicted, the snapshot begins again, since
// an older value of the same key may have been sent.
func (r *Room) Forgotten() Known { return Known{r.last.forgotten.Load(), r.head.Load()} }

// lostAt reports whether an entry has been forgotten that a walk at the number should have
// sent.
func (l *latest) lostAt(at uint64, known Known) bool {
	forgotten, evicted := l.forgotten.Load(), l.evicted.Load()
	return at < forgotten && known.forgotten < forgotten || at < evicted && known.evicted < evicted
}

// orderAt returns an order and a head that belong together: every key's newest frame below
// the head is in the order.
func (r *Room) orderAt() (o *order, head uint64) {
	for {
		o = r.last.order.Load()
		head = r.head.Load()
		if o == r.last.order.Load() {
			return o, head
		}
	}
}

// piece returns the frame's bytes from the tape or from its copy. ok is false for a
// tombstone that was forgotten at this moment.
func (r *Room) piece(f *lastFrame, dir []*chunk) (p Piece, ok bool) {
	if c := f.copy.Load(); c != nil {
		return Piece{Bytes: *c, first: f.num, to: 1}, true
	}
	if len(dir) == 0 || f.num < dir[0].first {
		if c := f.copy.Load(); c != nil {
			return Piece{Bytes: *c, first: f.num, to: 1}, true
		}
		return p, false
	}
	c := dir[find(dir, f.num)]
	i := int(f.num - c.first)
	return Piece{Bytes: c.buf[c.start(i):c.at[i].end], first: f.num, c: c, from: i, to: i + 1}, true
}

// join extends p by next if next lies right behind it, and reports whether it did.
func (p *Piece) join(next *Piece) bool {
	if p.c == nil || p.c != next.c || p.to != next.from || p.first+uint64(p.to-p.from) != next.first {
		return false
	}
	start := p.c.start(p.from)
	p.Bytes = p.c.buf[start:p.c.at[next.to-1].end]
	p.to = next.to
	return true
}

// Behind reports whether a member of a conflated room lags by more than its class allows.
// Such a member is sent the newest frames instead of all.
func (t *Table) Behind(r *Room, at uint64) bool {
	k := r.Class()
	if !k.Conflate {
		return false
	}
	head := r.head.Load()
	if at >= head {
		return false
	}
	if r.private() {
		return at < r.Tail()
	}
	dir := *r.tape.dir.Load()
	if len(dir) == 0 || at < dir[0].first {
		return true
	}
	if r.lacks(at, head) > k.conflateBytes() {
		return true
	}
	// Frames before a chunk are older than the chunk.
	i := find(dir, at)
	return i+1 < len(dir) && dir[i+1].first < head && t.clock()-dir[i+1].born > k.conflateAge().Milliseconds()
}

// offset returns how many bytes had been written to the tape before frame number at. The frame must
// be in the chunk or be the next one after it.
func (c *chunk) offset(at uint64) int64 { return c.before + int64(c.start(int(at-c.first))) }

// knownFrom returns the earliest positions since which the last values show every change.
// The argument all is where the topic is now. Records up to the positions in lost were lost.
func (l *latest) knownFrom(all Positions, now *feedState, lost []Pos) Positions {
	if l.origin == nil || l.origin.gen > now.gen {
		return all
	}
	at := Positions{Epoch: all.Epoch, Offsets: Positions{}.Of(all.Offsets)}
	raise := func(p Pos) {
		if o := at.of(p.Partition); o != nil {
			o.Offset = max(o.Offset, p.Offset)
		}
	}
	if l.origin.gen == now.gen { // else it is of an earlier epoch
		for part, off := range l.origin.off {
			if off == unknown {
				return all
			}
			raise(Pos{int32(part), off})
		}
	}
	for _, p := range slices.Concat(l.lost, lost) {
		raise(p)
	}
	if !beyond(at.Offsets, l.unsure) {
		return all
	}
	return at
}
