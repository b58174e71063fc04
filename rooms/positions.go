package rooms

import "slices"

// positions returns what the shard's tapes have reached in all partitions of the topic. If one
// partition is not known yet, the result is empty: a client that resumes would read a partition
// that is left out from its start.
func (s *feedState) positions() Positions {
	p := Positions{Epoch: s.epoch, Offsets: make([]Pos, len(s.off)), text: new(sharedText)}
	for i, off := range s.off {
		if off == unknown {
			return Positions{}
		}
		p.Offsets[i] = Pos{int32(i), off}
	}
	return p
}

// level holds the positions of members that are level with a state of a feed. It is made once for
// each state, when the first member needs it.
type level struct {
	state *feedState
	at    Positions
}

// levelAt returns the positions of a state of the feed, which all callers share. Any goroutine may
// call it. Two that call it at once may both make the positions, which does no harm.
func (s *shard) levelAt(f *Feed, state *feedState) Positions {
	if state == nil {
		return Positions{}
	}
	l := s.levels[f.index].Load()
	if l == nil || l.state != state {
		l = &level{state, state.positions()}
		s.levels[f.index].Store(l)
	}
	return l.at
}

// PositionsAt returns the positions up to which a member with the cursor at has been sent the room.
// They are exact, with one exception: if the tape has dropped frame number at, they are earlier, or
// empty if nothing is known. They are empty too for a member that has yet to be sent a `reset`. Any
// goroutine may call it. It looks at every frame from number at on.
func (t *Table) PositionsAt(r *Room, at uint64) Positions {
	s := t.shards[t.shardOf(r.name)]
	for {
		state := s.state(r.pattern.Feed) // before the head: see publish
		p := s.levelAt(r.pattern.Feed, state)
		if p.Epoch == "" {
			return p
		}
		head := r.head.Load()
		w := r.window()
		if at < head && !w.has(at) {
			return Positions{Epoch: state.epoch, Offsets: r.tape.before(at)}.covering(p)
		}
		all := p.raise(&w, min(at, head), state)
		if !all && state != s.state(r.pattern.Feed) {
			continue // frames that were sent after p was true may be gone already
		}
		p.lower(&w, at, head, state.gen)
		return p
	}
}

// raise adds the frames before number at that are not in p yet: frames are published before the
// positions move. These are the newest frames. It returns false if it found no frame that is in p.
func (p *Positions) raise(w *window, at uint64, state *feedState) bool {
	for ; at > 0 && w.has(at-1); at-- {
		switch f := w.frame(at - 1); {
		case f.source == sourceReset:
			if f.off > state.gen {
				*p = Positions{} // of an epoch that the shard is about to begin
			}
			return true
		case !f.source.record():
		default:
			part := f.source.partition()
			if int(part) < len(state.off) && f.off <= state.off[part] {
				return true
			}
			if o := p.of(part); o != nil && o.Offset < f.off {
				p.move(part, f.off)
			}
		}
	}
	return false
}

// lower takes out the frames from number at on, which were not sent.
func (p *Positions) lower(w *window, at, head uint64, gen int64) {
	for ; at < head; at++ {
		f := w.frame(at)
		part, last := f.source.partition(), f.off-1
		switch {
		case f.source == sourceReset:
			if f.off <= gen {
				*p = Positions{} // the member is in an earlier epoch
			}
			return
		case f.source == sourceExpired:
			continue
		case f.source.gap():
			last = f.off
		}
		if o := p.of(part); o != nil && o.Offset > last {
			p.move(part, last)
		}
	}
}

func (p *Positions) of(part int32) *Pos { return posOf(p.Offsets, part) }

// posOf finds a partition in a list, which in most cases holds all partitions in order.
func posOf(list []Pos, part int32) *Pos {
	if uint(part) < uint(len(list)) && list[part].Partition == part {
		return &list[part]
	}
	for i := range list {
		if list[i].Partition == part {
			return &list[i]
		}
	}
	return nil
}

// move changes the offset of a partition that is in p. Shared offsets are copied first.
func (p *Positions) move(part int32, off int64) {
	if p.text != nil {
		p.Offsets, p.text = slices.Clone(p.Offsets), nil
	}
	p.of(part).Offset = off
}

// Cover reports whether p is at or after the offset of each partition in have.
func (p Positions) Cover(have []Pos) bool {
	return !slices.ContainsFunc(have, func(h Pos) bool {
		o := p.of(h.Partition)
		return o == nil || o.Offset < h.Offset
	})
}

// Raised returns the greater offset of p and have for each partition of p. These are the positions
// of a client that came with have, of the same epoch, and was sent everything up to p since. It is
// empty if p is. Shared offsets of p stay as they are.
func (p Positions) Raised(epoch string, have []Pos) Positions {
	if p.Epoch != epoch {
		return p
	}
	own := false
	for _, h := range have {
		o := p.of(h.Partition)
		if o == nil || o.Offset >= h.Offset {
			continue
		}
		if !own {
			p.Offsets, p.text, own = slices.Clone(p.Offsets), nil, true
		}
		p.of(h.Partition).Offset = h.Offset
	}
	return p
}

// covering returns p, or empty positions if p lacks a partition of all.
func (p Positions) covering(all Positions) Positions {
	for _, o := range all.Offsets {
		if p.of(o.Partition) == nil {
			return Positions{}
		}
	}
	return p
}

// GapAt returns what a member has missed after the tape dropped its next frames. It begins at
// positions at or before its last message, if any are known, and ends before the first frame that
// is left, which is number tail.
func (t *Table) GapAt(r *Room, at uint64) (from, to Positions, tail uint64) {
	for tail = r.begin(); ; {
		to = t.PositionsAt(r, tail)
		now := r.begin()
		if now == tail {
			break
		}
		tail = now // the tape dropped more meanwhile
	}
	from = Positions{Epoch: to.Epoch, Offsets: r.tape.before(at)}
	return from, to, tail
}

// begin returns where a member that lags continues: at the newest keyframe, or at the tail.
func (r *Room) begin() uint64 {
	if k, ok := r.Keyframe(); ok && r.pattern.Keyframed {
		return k
	}
	return r.Tail()
}

// window finds the frames of a room that are left below a head. The head must be loaded before the
// window is made.
type window struct {
	list *refs // private rooms
	dir  []*chunk
	i    int // of the chunk that was looked into last
}

func (r *Room) window() window {
	w := window{}
	if r.private() {
		w.list = r.refs.Load()
		if w.list == nil {
			return w
		}
	}
	w.dir = *r.tape.dir.Load()
	return w
}

// num returns the tape's number of the room's frame number at.
func (w *window) num(at uint64) uint64 {
	if w.list != nil {
		return w.list.nums[at-w.list.first]
	}
	return at
}

// has reports whether frame number at is left, and with it all later ones.
func (w *window) has(at uint64) bool {
	if len(w.dir) == 0 || w.list != nil && at < w.list.first {
		return false
	}
	return w.num(at) >= w.dir[0].first
}

// frame returns the index entry of a frame that is left.
func (w *window) frame(at uint64) frameAt {
	c, i := w.find(at)
	return c.at[i]
}

// piece returns a frame that is left, and its index entry.
func (w *window) piece(at uint64) (Piece, frameAt) {
	c, i := w.find(at)
	return Piece{Bytes: c.buf[c.start(i):c.at[i].end], first: at, c: c, from: i, to: i + 1}, c.at[i]
}

func (w *window) find(at uint64) (c *chunk, i int) {
	num := w.num(at)
	if num < w.dir[w.i].first || w.i+1 < len(w.dir) && num >= w.dir[w.i+1].first {
		w.i = find(w.dir, num)
	}
	c = w.dir[w.i]
	return c, int(num - c.first)
}

// Level returns the positions that the tapes of all shards have reached: the least offset of each
// partition. Without an epoch they are not known, for example while a topic is being created again.
// Any goroutine may call it.
func (t *Table) Level(f *Feed) Positions {
	if f == nil || f.index < 0 {
		return Positions{}
	}
	states := make([]*feedState, len(t.shards))
	for i, s := range t.shards {
		states[i] = s.state(f)
	}
	low, _ := extent(states)
	return low
}

// extent returns the earliest and the latest positions of one feed among the shards. If a shard has
// not heard of a partition yet, it has nothing of it.
func extent(states []*feedState) (low, high Positions) {
	partitions := 0
	for _, s := range states {
		if s == nil || s.gen != states[0].gen {
			return Positions{}, Positions{}
		}
		partitions = max(partitions, len(s.off))
	}
	if len(states) == 0 {
		return Positions{}, Positions{}
	}
	low = Positions{Epoch: states[0].epoch, Offsets: make([]Pos, partitions)}
	high = Positions{Epoch: states[0].epoch, Offsets: make([]Pos, partitions)}
	for part := range int32(partitions) {
		for i, s := range states {
			off := int64(-1)
			if int(part) < len(s.off) {
				off = s.off[part]
			}
			if off == unknown {
				return Positions{}, Positions{}
			}
			if i == 0 {
				low.Offsets[part], high.Offsets[part] = Pos{part, off}, Pos{part, off}
			}
			low.Offsets[part].Offset = min(low.Offsets[part].Offset, off)
			high.Offsets[part].Offset = max(high.Offsets[part].Offset, off)
		}
	}
	return low, high
}

// Lowered returns the lesser offset of p and at for each partition. If their epochs differ, or if
// at lacks a partition, the result is not known.
func (p Positions) Lowered(at Positions) Positions {
	if p.Epoch == "" || p.Epoch != at.Epoch {
		return Positions{}
	}
	low := Positions{Epoch: p.Epoch, Offsets: make([]Pos, len(p.Offsets))}
	for i, o := range p.Offsets {
		q := at.of(o.Partition)
		if q == nil {
			return Positions{}
		}
		low.Offsets[i] = Pos{o.Partition, min(o.Offset, q.Offset)}
	}
	return low
}
