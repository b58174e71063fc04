package rooms

// positions is the place in the room's topic that all the shard's tapes have
// reached. Only a partition that the room can get records from counts. Where
// one of them is not known yet, nothing is: a partition that is left out would
// be read from its start by who resumes.
func (s *shard) positions(r *Room) Positions {
	state := s.state(r.pattern.Feed)
	if state == nil {
		return Positions{}
	}
	if part, ok := r.place(int32(len(state.off))); ok {
		off := state.off[part]
		if off == unknown {
			return Positions{}
		}
		return Positions{state.epoch, []Pos{{part, off}}}
	}
	p := Positions{state.epoch, make([]Pos, len(state.off))}
	for i, off := range state.off {
		if off == unknown {
			return Positions{}
		}
		p.Offsets[i] = Pos{int32(i), off}
	}
	return p
}

// PositionsAt is the place up to which a member whose cursor is at has been
// sent the room. Any goroutine may ask; it costs a look at every frame from at on.
func (t *Table) PositionsAt(r *Room, at uint64) Positions {
	p := t.shards[t.shardOf(r.name)].positions(r) // before the head: see publish
	if p.Epoch == "" {
		return p
	}
	head := r.head.Load()
	w := r.window()
	// Frames are published before the positions move, so the member may have
	// been sent some that are not in p. They are the newest of the tape.
	for i := min(at, head); i > w.first; i-- {
		f, ok := w.frame(i - 1)
		if !ok || f.part == noticeReset || f.part >= 0 && !p.raise(f) {
			break
		}
	}
	for i := max(at, w.first); i < head; i++ {
		if f, ok := w.frame(i); ok {
			p.lower(f)
		}
	}
	return p
}

// raise takes in a frame that was sent; false: it was in p already.
func (p *Positions) raise(f frameAt) bool {
	for i := range p.Offsets {
		if o := &p.Offsets[i]; o.Partition == f.part && o.Offset < f.off {
			o.Offset = f.off
			return true
		}
	}
	return false
}

// lower leaves out a frame that was not sent.
func (p *Positions) lower(f frameAt) {
	part, last := f.part, f.off-1
	if part <= noticeGap {
		part, last = noticeGap-part, f.off
	}
	for i := range p.Offsets {
		if o := &p.Offsets[i]; f.part == noticeReset {
			o.Offset = -1
		} else if o.Partition == part && o.Offset > last {
			o.Offset = last
		}
	}
}

// GapAt is what a member whose cursor retention has overtaken has missed: from
// a place at or before its last message (where one is known) to the place
// before the first frame that is left, which is number tail.
func (t *Table) GapAt(r *Room, at uint64) (from, to Positions, tail uint64) {
	tail = r.Tail()
	to = t.PositionsAt(r, tail)
	from = Positions{Epoch: to.Epoch, Offsets: r.tape.before(at)}
	return from, to, tail
}

// window looks up frames of a room below the head that was read before it.
type window struct {
	first uint64 // number of the oldest frame that may be there
	list  *refs  // private rooms
	dir   []*chunk
	i     int // of the chunk that was looked into last
}

func (r *Room) window() window {
	if r.private() {
		list := r.refs.Load()
		if list == nil {
			return window{first: r.head.Load()}
		}
		return window{first: list.first, list: list, dir: *r.tape.dir.Load()}
	}
	w := window{dir: *r.tape.dir.Load()}
	if len(w.dir) == 0 {
		return window{first: r.head.Load()}
	}
	w.first = w.dir[0].first
	return w
}

// frame is the index entry of frame number at, not below first; false: it is
// gone.
func (w *window) frame(at uint64) (f frameAt, ok bool) {
	num := at
	if w.list != nil {
		num = w.list.nums[at-w.list.first]
	}
	if len(w.dir) == 0 || num < w.dir[0].first {
		return f, false
	}
	if num < w.dir[w.i].first || w.i+1 < len(w.dir) && num >= w.dir[w.i+1].first {
		w.i = find(w.dir, num)
	}
	c := w.dir[w.i]
	return c.at[num-c.first], true
}
