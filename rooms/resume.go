package rooms

import (
	"fmt"
	"slices"
)

// TooOldError says that a client's positions are of a past that nobody here can
// give back. Oldest is the earliest place from which all can be had; it may be
// unknown.
type TooOldError struct {
	Oldest Positions
	Why    string
}

func (e *TooOldError) Error() string {
	if e.Why == "" {
		return "position too old: the gateway no longer holds what came after it"
	}
	return "position too old: " + e.Why
}

// Resume is how a member goes on from where its client was.
type Resume struct {
	// Have is what the client has: of each partition of the topic, in order, all up to
	// and including the offset. Of one that the client did not name it has nothing.
	Have []Pos
	// Until is the number of the first frame after the resume. It and those that follow
	// are not in Have, unless the client is Ahead: it comes from a node that has read
	// further than this one.
	Until uint64
	Ahead bool
	// Walk says to go on with the newest frame of each key instead of all. Known is
	// what Room.CutLatest wants to hear then.
	Walk  bool
	Known Known
	// Recall says that the tapes do not reach back to Have: what lies between it
	// and UpTo is not on them. With Walk there is nothing to read, but only Kafka can
	// say whether its topic has what the client has and the tapes have not.
	Recall bool
	UpTo   []Pos
	// Lost says why the place is too old, with Recall: only Kafka knows the oldest place
	// that there is instead.
	Lost string
}

// After is where reading again begins, by partition.
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

// Foreign says why the place cannot be one of the epoch; "": it can.
func (p Positions) Foreign(epoch string) string {
	switch p.Epoch {
	case epoch:
		return ""
	case "":
		return "it names no epoch, so nobody can tell which topic it is of"
	}
	return fmt.Sprintf("they are of epoch %q, and the topic's is %q", p.Epoch, epoch)
}

// before is the place before the first record of those partitions.
func before(list []Pos) []Pos {
	at := slices.Clone(list)
	for i := range at {
		at[i].Offset = -1
	}
	return at
}

// resume finds the place from which a member whose client is at since gets all
// that it lacks. at is the number of its first frame.
func (s *shard) resume(r *Room, since Positions) (at uint64, how *Resume, err error) {
	state := s.state(r.pattern.Feed)
	if f := r.pattern.Feed; f == nil || f.index < 0 {
		return 0, nil, &TooOldError{Why: "no topic feeds the room"}
	}
	var all Positions
	if state != nil {
		all = s.levelAt(r.pattern.Feed, state)
	}
	if all.Epoch == "" { // Kafka may not have been there since the node began
		return 0, nil, &NotNowError{Why: "the gateway has not read the room's topic yet", RetryAfter: retrySoon}
	}
	if why := since.Foreign(all.Epoch); why != "" {
		if r.Class().Conflate {
			return 0, nil, &TooOldError{Oldest: r.last.knownFrom(all, state, s.lost[r.pattern.Feed.index]), Why: why}
		}
		return r.next, &Resume{Have: before(all.Offsets), Until: r.next, Recall: true, UpTo: all.Offsets, Lost: why}, nil
	}
	for _, o := range since.Offsets {
		if int(o.Partition) >= len(state.off) { // another node has heard of it already
			why := fmt.Sprintf("the gateway has not heard of partition %d of the room's topic yet", o.Partition)
			return 0, nil, &NotNowError{Why: why, RetryAfter: retrySoon}
		}
	}
	have := before(all.Offsets) // partitions that are younger than the client's last word
	ahead := false
	for i, p := range all.Offsets {
		if o := since.of(p.Partition); o != nil {
			have[i].Offset = max(o.Offset, -1)
		}
		ahead = ahead || have[i].Offset > p.Offset
	}
	how = &Resume{Have: have, Until: r.next, Ahead: ahead}
	gone := s.lostSince(r, have)
	tooOld := &TooOldError{Oldest: all, Why: "keys have gone since of which nothing is known any more"}
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
	if r.last != nil && !beyond(have, r.last.went) { // Kafka knows nothing of that
		return 0, nil, tooOld
	}
	// Nobody here knows whether there are records that the client has and we
	// have not: the topic itself does.
	if at, ok := s.reachBack(r, state, have); ok && !ahead && !gone {
		return at, how, nil
	}
	how.Recall, how.UpTo = true, all.Offsets
	return r.next, how, nil
}

// lostSince says that records after have were lost before they came here. A room that
// had members then has a notice of it on its tape, others have not.
func (s *shard) lostSince(r *Room, have []Pos) bool {
	return slices.ContainsFunc(s.lost[r.pattern.Feed.index], func(lost Pos) bool {
		return slices.ContainsFunc(have, func(h Pos) bool { return h.Partition == lost.Partition && h.Offset < lost.Offset })
	})
}

// covers says that all of a topic's records after have came after the place:
// who begins there misses none of them.
func (s *feedState) covers(have []Pos, gen int64) bool {
	if s == nil {
		return false
	}
	if s.gen != gen {
		return s.gen < gen // the place is before the epoch began
	}
	for _, p := range have {
		if int(p.Partition) < len(s.off) && (s.off[p.Partition] == unknown || s.off[p.Partition] > p.Offset) {
			return false
		}
	}
	return true
}

// reachBack is the number of a frame from which on the room's tape has all that
// comes after have.
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

// afterReset is at, or what lies behind the last reset after it where the state at
// frame at was of an epoch before now's: its frames are not what a client of now lacks.
func (r *Room) afterReset(at uint64, then, now *feedState) uint64 {
	if then.gen == now.gen {
		return at
	}
	w := r.window()
	for num := r.next; num > at; num-- {
		if w.frame(num-1).part == noticeReset {
			return num
		}
	}
	return at
}

// numberFrom is the room's number of its first frame that is at number num of
// the tape or behind it.
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

// states is what of each feed is on the shard's tapes.
func (s *shard) states() []*feedState {
	list := make([]*feedState, len(s.feeds))
	for i := range s.feeds {
		list[i] = s.feeds[i].Load()
	}
	return list
}

// date tells the chunks that were begun since the last time what had been read
// when they were: all that comes after it is in them or later ones.
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

// knowsSince says whether the last values tell all that has changed since have.
func (s *shard) knowsSince(r *Room, have []Pos) bool {
	state := s.state(r.pattern.Feed)
	if !r.last.origin.covers(have, state.gen) {
		return false
	}
	for _, f := range r.last.lost {
		for _, p := range have {
			if p.Partition == f.Partition && p.Offset < f.Offset {
				return false
			}
		}
	}
	return beyond(have, r.last.unsure)
}
