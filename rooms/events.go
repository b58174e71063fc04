package rooms

// noticeReset marks the frame of a `reset` in a chunk's index: offsets before
// it belong to another epoch.
const noticeReset = -2

// state is what of the feed is on the shard's tapes; nil: nothing yet.
func (s *shard) state(f *Feed) *feedState {
	if f == nil || f.index < 0 {
		return nil
	}
	return s.feeds[f.index].Load()
}

func (s *shard) progress(it *item) {
	state := s.state(it.feed)
	if state == nil {
		now := it.feed.state.Load()
		if now == nil {
			panic("BUG: progress of topic " + it.feed.topic + " before it was opened")
		}
		state = newFeedState(now.epoch, int32(len(now.off)), unknown)
		s.feeds[it.feed.index].Store(state)
	}
	if int(it.part) >= len(state.off) {
		return // of a partition count that Grow has yet to announce
	}
	if o := &state.off[it.part]; it.off > o.Load() {
		o.Store(it.off)
	}
}

// reset begins a new epoch: nothing of the topic that was made anew has been read.
func (s *shard) reset(it *item) {
	s.feeds[it.feed.index].Store(newFeedState(it.epoch, it.part, -1))
	s.eachFed(it.feed, func(r *Room) {
		r.chain = chain{}
		if !r.private() {
			r.tape.trail.Store(nil)
			for _, c := range *r.tape.dir.Load() {
				c.base = nil
			}
		}
		if r.subs != nil {
			s.scratch = appendReset(s.scratch[:0], r.name, it.epoch)
			s.notice(r, noticeReset)
		}
	})
	s.publish()
}

// gap tells the members of every room that the partition may feed.
func (s *shard) gap(it *item) {
	state := s.state(it.feed)
	if state == nil {
		return
	}
	from := Positions{Epoch: state.epoch, Offsets: []Pos{{it.part, it.time}}}
	to := Positions{Epoch: state.epoch, Offsets: []Pos{{it.part, it.off}}}
	s.eachFed(it.feed, func(r *Room) {
		if place, ok := r.place(int32(len(state.off))); ok && place != it.part {
			return
		}
		r.chain.forget(it.part)
		if r.subs != nil {
			s.scratch = AppendGap(s.scratch[:0], r.name, from, to)
			s.notice(r, notice)
		}
	})
}

// notice writes the text in scratch as a frame that comes from no record.
func (s *shard) notice(r *Room, kind int32) {
	s.touch(r)
	s.table.used.Add(r.write(OpText, s.scratch, nil, nil, kind, 0, s.now))
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

// place is the one partition that the room lives on, where that is known.
func (r *Room) place(partitions int32) (int32, bool) {
	if r.pattern.Place == nil || partitions == 0 {
		return 0, false
	}
	return r.pattern.Place(r.name[len(r.pattern.prefix):], partitions), true
}
