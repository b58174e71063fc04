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
	head := r.head.Load()
	if at >= head || p.Epoch == "" {
		return p
	}
	r.walk(at, head, func(f frameAt) {
		switch {
		case f.part == noticeReset:
			for i := range p.Offsets {
				p.Offsets[i].Offset = -1
			}
		case f.part >= 0:
			for i := range p.Offsets {
				if o := &p.Offsets[i]; o.Partition == f.part && f.off-1 < o.Offset {
					o.Offset = f.off - 1
				}
			}
		}
	})
	return p
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

// walk visits the index of the frames from at up to head, oldest first.
func (r *Room) walk(at, head uint64, visit func(frameAt)) {
	dir := *r.tape.dir.Load()
	if r.private() {
		list := r.refs.Load()
		for ; list != nil && at < head; at++ {
			if at < list.first || len(dir) == 0 || list.nums[at-list.first] < dir[0].first {
				continue
			}
			num := list.nums[at-list.first]
			c := dir[find(dir, num)]
			visit(c.at[num-c.first])
		}
		return
	}
	if len(dir) == 0 {
		return
	}
	at = max(at, dir[0].first)
	for i := find(dir, at); i < len(dir) && at < head; i++ {
		c, end := dir[i], head
		if i+1 < len(dir) {
			end = min(head, dir[i+1].first)
		}
		for ; at < end; at++ {
			visit(c.at[at-c.first])
		}
	}
}
