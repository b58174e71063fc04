package rooms

import "slices"

// positions is the place in all partitions of the topic that the shard's tapes have
// reached. Where one of them is not known yet, nothing is: a partition that is left out
// is read from its start for a client that resumes.
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

// level is what one state of a feed says to members that are level with it. It is made
// once a state, when the first member asks.
type level struct {
	state *feedState
	at    Positions
}

// levelAt returns the positions of a state of the feed, which all that ask share. Any
// goroutine may ask. Two that ask at once may make it twice, which harms nobody.
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

// PositionsAt is the place up to which a member whose cursor is at has been
// sent the room. It is exact, but for a member that retention has overtaken:
// that is given an earlier place, or none where none is known. Nor is a place
// known to a member that has yet to be sent a `reset`. Any goroutine may ask; it
// costs a look at every frame from at on.
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
			continue // what was sent since p was true may be gone already
		}
		p.lower(&w, at, head, state.gen)
		return p
	}
}

// raise takes in the frames before number at that are not in p, since frames
// are published before the positions move. They are the newest: false says that
// no frame was found that is in p.
func (p *Positions) raise(w *window, at uint64, state *feedState) bool {
	for ; at > 0 && w.has(at-1); at-- {
		switch f := w.frame(at - 1); {
		case f.part == noticeReset:
			if f.off > state.gen {
				*p = Positions{} // of an epoch that the shard is just about to begin
			}
			return true
		case f.part < 0:
		default:
			if int(f.part) < len(state.off) && f.off <= state.off[f.part] {
				return true
			}
			if o := p.of(f.part); o != nil && o.Offset < f.off {
				p.move(f.part, f.off)
			}
		}
	}
	return false
}

// lower leaves out the frames from number at on, which were not sent.
func (p *Positions) lower(w *window, at, head uint64, gen int64) {
	for ; at < head; at++ {
		f := w.frame(at)
		part, last := f.part, f.off-1
		switch {
		case f.part == noticeReset:
			if f.off <= gen {
				*p = Positions{} // the member is of an epoch before
			}
			return
		case f.part == noticeExpired:
			continue
		case f.part <= noticeGap:
			part, last = noticeGap-f.part, f.off
		}
		if o := p.of(part); o != nil && o.Offset > last {
			p.move(part, last)
		}
	}
}

func (p *Positions) of(part int32) *Pos { return posOf(p.Offsets, part) }

// posOf finds a partition in a list, which mostly holds all of them in order.
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

// move changes the offset of a partition that is there. Offsets that others share are
// copied first.
func (p *Positions) move(part int32, off int64) {
	if p.text != nil {
		p.Offsets, p.text = slices.Clone(p.Offsets), nil
	}
	p.of(part).Offset = off
}

// Cover says that p is at or behind have in each partition of have.
func (p Positions) Cover(have []Pos) bool {
	return !slices.ContainsFunc(have, func(h Pos) bool {
		o := p.of(h.Partition)
		return o == nil || o.Offset < h.Offset
	})
}

// Raised is p, and what is in have of it: the place of a client that came with have
// of the same epoch and was sent all up to p since. Where p is none, so is it. What p
// shares with others stays as it is.
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

// covering is p, or nothing where it lacks a partition of all.
func (p Positions) covering(all Positions) Positions {
	for _, o := range all.Offsets {
		if p.of(o.Partition) == nil {
			return Positions{}
		}
	}
	return p
}

// GapAt is what a member whose cursor retention has overtaken has missed: from
// a place at or before its last message (where one is known) to the place
// before the first frame that is left, which is number tail.
func (t *Table) GapAt(r *Room, at uint64) (from, to Positions, tail uint64) {
	for tail = r.begin(); ; {
		to = t.PositionsAt(r, tail)
		now := r.begin()
		if now == tail {
			break
		}
		tail = now // overtaken while we looked
	}
	from = Positions{Epoch: to.Epoch, Offsets: r.tape.before(at)}
	return from, to, tail
}

// begin is where a member goes on that lags: at the tail, or the newest keyframe.
func (r *Room) begin() uint64 {
	if k, ok := r.Keyframe(); ok && r.pattern.Keyframed {
		return k
	}
	return r.Tail()
}

// window looks up the frames of a room that are left, below a head that was
// read before it.
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

// num is the number on the tape of the room's frame at.
func (w *window) num(at uint64) uint64 {
	if w.list != nil {
		return w.list.nums[at-w.list.first]
	}
	return at
}

// has says whether frame at is left, and with it all that come after it.
func (w *window) has(at uint64) bool {
	if len(w.dir) == 0 || w.list != nil && at < w.list.first {
		return false
	}
	return w.num(at) >= w.dir[0].first
}

// frame is the index entry of a frame that is left.
func (w *window) frame(at uint64) frameAt {
	c, i := w.find(at)
	return c.at[i]
}

// piece is a frame that is left, and its index entry.
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
