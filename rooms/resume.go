package rooms

import (
	"fmt"
	"slices"
)

// Resume says how a member continues from its client's positions.
type Resume struct {
	// Have lists the topic's partitions in order. The client has every record up to and
	// including each offset. A partition that it did not name stands at -1.
	Have []Pos
	// Until is the number of the first frame after the resume. The client has none of the
	// frames from there on, unless it is Ahead: then it comes from a node that has read
	// further than this one.
	Until uint64
	Ahead bool
	// Walk means that the member continues with the newest frame of each key, not with
	// every frame. Known is then the argument for Room.CutLatest.
	Walk  bool
	Known Known
	// Recall means that the tapes do not reach back to Have: what lies between Have and
	// UpTo is not on them. With Walk there is nothing to read again. Kafka must still say
	// whether the topic has the records that the client has and the tapes have not.
	Recall bool
	UpTo   []Pos
	// Lost says, with Recall, why the positions are too old. Kafka alone then knows the
	// oldest position that the client can have instead.
	Lost string
}

// After returns the last offset of each partition that need not be read again.
func (how *Resume) After() []Pos {
	if !how.Walk {
		return how.Have
	}
	after := slices.Clone(how.Have)
	for i := range after {
		after[i].Offset = max(after[i].Offset, how.UpTo[i].Offset)
	}
	return after
}

// Foreign returns why the positions cannot be of the epoch, or "" if they can.
func (p Positions) Foreign(epoch string) string {
	switch p.Epoch {
	case epoch:
		return ""
	case "":
		return "the positions have no epoch, so their topic is unknown"
	}
	return fmt.Sprintf("they are of epoch %q, and the topic's is %q", p.Epoch, epoch)
}

// Of returns the offsets of p for the partitions in list. A partition that p lacks is younger: it
// stands at -1, before its first record.
func (p Positions) Of(list []Pos) []Pos {
	at := make([]Pos, len(list))
	for i := range at {
		at[i] = Pos{list[i].Partition, -1}
		if o := p.of(at[i].Partition); o != nil {
			at[i].Offset = max(o.Offset, -1)
		}
	}
	return at
}

// resume returns the number of the first frame that a member must be sent, if its client
// has everything up to since, and how the member continues.
func (s *shard) resume(r *Room, since Positions) (at uint64, how *Resume, err error) {
	state := s.state(r.pattern.Feed)
	if f := r.pattern.Feed; f == nil || f.index < 0 {
		return 0, nil, &TooOldError{Why: "no topic feeds the room"}
	}
	var all Positions
	if state != nil {
		all = s.levelAt(r.pattern.Feed, state)
	}
	if all.Epoch == "" { // Kafka may have been away since the node started
		return 0, nil, &NotNowError{Why: "the gateway has not read the room's topic yet", RetryAfter: retrySoon}
	}
	if why := since.Foreign(all.Epoch); why != "" {
		if r.Class().Conflate {
			return 0, nil, &TooOldError{Oldest: r.last.knownFrom(all, state, s.lost[r.pattern.Feed.index]), Why: why}
		}
		return r.next, &Resume{Have: Positions{}.Of(all.Offsets), Until: r.next, Recall: true,
			UpTo: all.Offsets, Lost: why}, nil
	}
	for _, o := range since.Offsets {
		if int(o.Partition) >= len(state.off) { // another node already knows it
			why := fmt.Sprintf("the gateway does not know partition %d of the room's topic yet", o.Partition)
			return 0, nil, &NotNowError{Why: why, RetryAfter: retrySoon}
		}
	}
	have := since.Of(all.Offsets)
	ahead := !all.Cover(have)
	how = &Resume{Have: have, Until: r.next, Ahead: ahead}
	gone := s.lostSince(r, have)
	tooOld := &TooOldError{Oldest: all, Why: "the gateway no longer knows which keys have expired since"}
	if r.Class().Conflate {
		if gone || !s.knowsSince(r, have) {
			tooOld.Oldest = r.last.knownFrom(all, state, s.lost[r.pattern.Feed.index])
			return 0, nil, tooOld
		}
		how.Walk, how.Known = true, Known{r.last.forgotten.Load(), r.last.evicted.Load()}
		if ahead {
			how.Recall, how.UpTo = true, all.Offsets
		}
		return 0, how, nil
	}
	if r.last != nil && !beyond(have, r.last.went) { // Kafka knows nothing of expired keys
		return 0, nil, tooOld
	}
	// A client that is ahead has records that this node has not read. Only the topic can
	// say whether they exist.
	if at, ok := s.reachBack(r, state, have); ok && !ahead && !gone {
		return at, how, nil
	}
	how.Recall, how.UpTo = true, all.Offsets
	return r.next, how, nil
}

// lostSince reports whether this node lost any record after the positions in have. Only
// a room that had members at that time has a notice of the loss on its tape.
func (s *shard) lostSince(r *Room, have []Pos) bool {
	return anyAfter(s.lost[r.pattern.Feed.index], have)
}

// anyAfter reports whether an offset in list is after the one in have for its partition.
func anyAfter(list, have []Pos) bool {
	return slices.ContainsFunc(list, func(p Pos) bool {
		h := posOf(have, p.Partition)
		return h != nil && h.Offset < p.Offset
	})
}

// covers reports whether every record after the positions in have was read after the
// state s. A member that starts at s misses none of them.
func (s *feedState) covers(have []Pos, gen int64) bool {
	if s == nil {
		return false
	}
	if s.gen != gen {
		return s.gen < gen // the state is of an earlier epoch
	}
	for _, p := range have {
		if int(p.Partition) < len(s.off) && (s.off[p.Partition] == unknown || s.off[p.Partition] > p.Offset) {
			return false
		}
	}
	return true
}

// reachBack returns the number of a frame from which the room's tape has every record
// after the positions in have. ok is false if the tape does not reach back that far.
func (s *shard) reachBack(r *Room, now *feedState, have []Pos) (at uint64, ok bool) {
	if now.covers(have, now.gen) {
		return r.next, true
	}
	feed := r.pattern.Feed.index
	dir := *r.tape.dir.Load()
	for i := len(dir) - 1; i >= 0; i-- {
		if c := dir[i]; c.after != nil && c.after[feed].covers(have, now.gen) {
			return r.afterReset(r.numberFrom(c.first), c.after[feed], now), true
		}
	}
	if r.tape.reach != nil && r.tape.reach[feed].covers(have, now.gen) {
		return r.afterReset(r.numberFrom(0), r.tape.reach[feed], now), true
	}
	return 0, false
}

// afterReset returns the frame number at. If the state there (then) is of an earlier epoch
// than now, it returns the newest reset after it instead: a client of the present epoch
// does not lack frames of an earlier one.
func (r *Room) afterReset(at uint64, then, now *feedState) uint64 {
	if then.gen == now.gen {
		return at
	}
	w := r.window()
	for num := r.next; num > at; num-- {
		if w.frame(num-1).source == sourceReset {
			return num
		}
	}
	return at
}

// numberFrom returns the room's own number of its first frame at tape number num or later.
func (r *Room) numberFrom(num uint64) uint64 {
	num = max(num, r.tape.tailNow())
	if !r.private() {
		return min(num, r.next)
	}
	list := r.refs.Load()
	if list == nil {
		return r.next
	}
	at := list.first
	for at < r.next && list.nums[at-list.first] < num {
		at++
	}
	return at
}

// states returns the state that the shard's tapes have reached of each feed.
func (s *shard) states() []*feedState {
	list := make([]*feedState, len(s.feeds))
	for i := range s.feeds {
		list[i] = s.feeds[i].Load()
	}
	return list
}

// date notes the present state of each feed on the chunks that were begun since the last
// call. All records after that state are in these chunks or in later ones.
func (s *shard) date() {
	if len(s.begun) == 0 {
		return
	}
	now := s.states()
	for i, c := range s.begun {
		c.after = now
		s.begun[i] = nil
	}
	s.begun = s.begun[:0]
}

// knowsSince reports whether the last values show every change after the positions in have.
func (s *shard) knowsSince(r *Room, have []Pos) bool {
	state := s.state(r.pattern.Feed)
	return r.last.origin.covers(have, state.gen) && !anyAfter(r.last.lost, have) && beyond(have, r.last.unsure)
}
