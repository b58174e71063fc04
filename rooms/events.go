package rooms

import (
	"maps"

	"tapecast/rooms/wire"
)

// state returns which part of the feed is on the shard's tapes, or nil if none is.
func (s *shard) state(f *Feed) *feedState {
	if f == nil || f.index < 0 {
		return nil
	}
	return s.feeds[f.index].Load()
}

// reached reports whether the shard has seen all records of the partition up to off.
func (s *shard) reached(f *Feed, part int32, off int64) bool {
	state := s.state(f)
	return state != nil && int(part) < len(state.off) && off <= state.off[part]
}

// progress moves the positions forward by everything that was marked since the last call.
func (s *shard) progress() {
	for i, it := range s.marks {
		f := it.feed.index
		next := s.moving[f]
		if next == nil {
			if next = s.feeds[f].Load(); next == nil {
				next = newFeedState(it.shape, unknown)
			} else {
				next = next.copy(0)
			}
			s.moving[f] = next
		}
		s.marks[i] = nil
		if next.gen != it.shape.gen || it.part >= it.shape.partitions {
			continue // of another epoch, or of a partition that was not announced
		}
		if int(it.part) >= len(next.off) { // announced by another batch, on its way
			next = next.copy(it.shape.partitions)
			s.moving[f] = next
		}
		if next.off[it.part] < 0 && it.off >= 0 {
			s.began(it.feed, it.part, it.off)
		}
		next.off[it.part] = max(next.off[it.part], it.off)
	}
	s.marks = s.marks[:0]
	for f, next := range s.moving {
		if next != nil {
			s.feeds[f].Store(next)
			s.moving[f] = nil
		}
	}
}

func (s *shard) grow(it *item) {
	state := s.state(it.feed)
	if state != nil && state.gen == it.shape.gen && int(it.shape.partitions) > len(state.off) {
		s.feeds[it.feed.index].Store(state.copy(it.shape.partitions))
	}
}

// reset begins a new epoch: nothing of the new topic has been read. Rooms without members forget
// their frames, since nothing on their tapes would tell a later client where the old epoch ends.
func (s *shard) reset(it *item) {
	s.eachFed(it.feed, func(r *Room) {
		r.chain = chain{empty: r.chain.empty}
		r.keyframe.Store(0)
		if r.subs == nil {
			s.forget(r)
			return
		}
		if !r.private() {
			r.tape.trail.Store(nil)
			for _, c := range *r.tape.dir.Load() {
				c.base = nil
			}
		}
		s.scratch = wire.AppendReset(s.scratch[:0], r.name, it.shape.epoch)
		if r.last != nil {
			r.last.end(r.next)
		}
		s.notice(r, sourceReset, it.shape.gen)
	})
	s.publish()
	s.lost[it.feed.index] = nil
	s.forgetPassed(it.feed)
	maps.DeleteFunc(s.went, func(p *Pattern, _ *feedState) bool { return p.Feed == it.feed })
	maps.DeleteFunc(s.partial, func(p *Pattern, _ int64) bool { return p.Feed == it.feed })
	s.feeds[it.feed.index].Store(newFeedState(it.shape, -1))
}

// forget drops the frames of a room that has no members.
func (s *shard) forget(r *Room) {
	if r.last != nil {
		r.last.end(gone) // no frame supersedes them
		r.last.forgotten.Store(r.next)
	}
	if r.private() {
		r.refs.Store(nil)
		return
	}
	s.table.used.Add(-r.tape.drop(len(*r.tape.dir.Load())))
	r.tape.trail.Store(nil)
	r.tape.reach = nil
}

// gap tells the members of every room of the feed, since a lost record may have been for any of
// them. A client that is away is told when it resumes from before the gap.
func (s *shard) gap(it *item) {
	if list := s.lost[it.feed.index]; !setIn(list, it.part, it.off) {
		s.lost[it.feed.index] = append(list, Pos{it.part, it.off})
	}
	from := Positions{Epoch: it.shape.epoch, Offsets: []Pos{{it.part, it.from}}}
	to := Positions{Epoch: it.shape.epoch, Offsets: []Pos{{it.part, it.off}}}
	s.eachFed(it.feed, func(r *Room) {
		r.chain.forget(it.part)
		if r.subs != nil {
			s.scratch = wire.AppendGap(s.scratch[:0], r.name, from, to)
			s.notice(r, gapOf(it.part), it.from)
		} else {
			r.keyframe.Store(0) // a new member would start before the gap and not be told of it
		}
	})
}

// notice writes the text in scratch as a frame without a record.
func (s *shard) notice(r *Room, kind source, off int64) {
	s.touch(r)
	num := r.next
	frame, cost := r.write(wire.OpText, s.scratch, nil, nil, kind, off, 0, s.now)
	s.grown(r, cost)
	if r.last != nil && kind != sourceExpired {
		f := &lastFrame{num: num, kind: lastNotice, from: kind, off: off, at: s.now, state: s.state(r.pattern.Feed)}
		s.remembered(r, appendNoticeKey(nil, num), f, frame)
	}
}

func (s *shard) eachFed(f *Feed, visit func(*Room)) {
	for b := range s.rooms.buckets {
		s.rooms.each(b, func(r *Room) {
			if r.pattern.Feed == f {
				visit(r)
			}
		})
	}
}
