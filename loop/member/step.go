package member

import (
	"time"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// conflatedEvery is the least time between two `conflated` notices of a member.
const conflatedEvery = time.Second

// step is one call of Next for a member that has an Extra or gets one.
type step struct {
	*Rules
	m    *Member
	x    *Extra // nil: it has none
	c    Client
	more bool // the member lacks more than was cut
}

// nothing returns the Cut of a step that has cut nothing.
func (s *step) nothing() Cut { return Cut{Extra: s.x, More: s.more} }

// needs returns the member's Extra, and creates it if there is none.
func (s *step) needs() *Extra {
	if s.x == nil {
		s.x = &Extra{client: s.c, sub: s.m.sub}
		s.x.filter.Coding = s.m.coding
		s.m.extra = true
	}
	return s.x
}

// drop makes the member plain again.
func (s *step) drop() {
	s.End(s.x)
	s.m.extra, s.x = false, nil
}

// tell queues a notice that must come before the member's frames. It returns false if that is not
// possible now.
func (s *step) tell(text []byte) bool {
	if s.c.Tell(wire.TextFrame(text)) {
		return true
	}
	s.more = true
	return false
}

// next is Next for a member with an Extra.
func (s *step) next(budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	m, x, r := s.m, s.x, s.m.Room()
	if !s.tellFirst() {
		return dst, s.nothing()
	}
	if x.upTo != nil && x.past == nil && !x.waiting {
		switch {
		case x.more && s.Now() < x.retry:
			return dst, s.nothing()
		case x.more || m.at <= x.seam && m.at < r.Tail():
			s.rejoin()
		case m.at > x.seam:
			x.upTo = nil
		}
	}
	if x.waiting || !s.finish() {
		return dst, s.nothing()
	}
	if !m.extra { // it is plain from now on
		s.more = s.more || m.at < r.Head()
		return dst, s.nothing()
	}
	if x.await && !s.awaited() {
		return dst, s.nothing()
	}
	if x.past != nil {
		return s.cutPast(budget, dst)
	}
	if s.tooSoon(x) {
		return dst, s.nothing()
	}
	if x.walk == walkNone && r.Class().Conflate && (x.every > 0 || s.Table.Behind(r, m.at)) {
		x.walk, x.known = walkOn, rooms.Known{}
	}
	return s.cutRoom(budget, dst)
}

// tellFirst tells the client what it must know of the room before its first frame. It returns false
// if not all of it could be told now.
func (s *step) tellFirst() bool {
	x, r := s.x, s.m.Room()
	if f := x.found; f != nil {
		text := wire.AppendJoined(nil, f.Name, x.wildcard, f.Pattern.Class.Name, s.m.Chain(x), f.Positions, f.Partial)
		if !s.tell(text) {
			return false
		}
		x.found = nil
	}
	if gap := x.missed; gap != nil {
		if !s.tell(wire.AppendGap(nil, r.Name(), gap.From, gap.To)) {
			return false
		}
		x.missed = nil
		s.Counts.Gaps++
	}
	if x.begin {
		x.begin = !s.tell(wire.AppendSnapshotBegin(nil, r.Name(), s.Table.Partial(r)))
	}
	return !x.begin
}

// finish ends what is complete: a walk that is level with its room, a filter that no frame will
// match again, skipped frames that the client was not told of. It returns false if the client must
// be told first, and that is not possible now.
func (s *step) finish() bool {
	m, x, r := s.m, s.x, s.m.Room()
	if x.walk != walkNone && x.level && m.at >= x.end {
		if x.walk == walkSnapshot {
			at := s.Table.PositionsAt(r, m.at)
			if !s.tell(wire.AppendSnapshotEnd(nil, r.Name(), at, s.Table.Partial(r))) {
				return false
			}
			x.unplaced = at.Epoch == "" && x.client.Places()
		}
		x.walk, x.level = walkNone, false
		x.countWalk()
	}
	if x.filter.Have != nil && x.upTo == nil && s.outgrown() {
		x.filter.Have = nil
	}
	if x.skipped > 0 && s.Now()-x.told >= conflatedEvery {
		if !s.tell(wire.AppendConflated(nil, r.Name(), x.skipped)) {
			return false
		}
		x.skipped, x.told = 0, s.Now()
	}
	if x.unplaced && !s.place() {
		return false
	}
	if x.walk == walkNone && x.upTo == nil && !x.await && x.filter.Have == nil && x.skipped == 0 &&
		x.every == 0 && !x.filter.Keyed() && !x.unplaced {
		s.drop()
	}
	return true
}

// place tells the client its positions once they are known: `positions` would come only when the room is
// quiet, and a client that lost its connection before could not resume. It returns false if the client
// could not be told now.
func (s *step) place() bool {
	at := s.Position(s.m, s.x)
	if at.Epoch == "" {
		return true // not yet
	}
	text := wire.AppendPositionsOf([]byte(wire.PositionsHead), s.m.Room().Name(), at)
	if !s.tell(wire.EndPositions(text)) {
		return false
	}
	s.x.unplaced = false
	return true
}

// outgrown reports whether no frame from the cursor on is among those that the client had when it
// came.
func (s *step) outgrown() bool {
	f := &s.x.filter
	if !f.Ahead {
		return s.m.at >= f.Until
	}
	// The client was ahead of this node, which may have caught up.
	at := s.Table.PositionsAt(s.m.Room(), s.m.at)
	return at.Epoch != "" && (at.Epoch != s.x.epoch || at.Cover(f.Have))
}

// awaited moves the member to the keyframe that it waits for. It returns false if there is none
// yet, or if the client cannot be told now.
func (s *step) awaited() bool {
	m, r := s.m, s.m.Room()
	head := r.Head() // loaded before the keyframe, so that a new keyframe is after it
	k, ok := r.Keyframe()
	if !ok || k < m.at {
		m.at = head
		return false
	}
	to := s.Table.PositionsAt(r, k)
	if !s.tell(wire.AppendGap(nil, r.Name(), rooms.Positions{Epoch: to.Epoch}, to)) {
		return false
	}
	s.x.await, m.at = false, k
	return true
}

// cutRoom cuts from the room's tape, or from its last values.
func (s *step) cutRoom(budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	m, x, r := s.m, s.x, s.m.Room()
	if x.walk != walkNone {
		next, pieces, level, lost := r.CutLatest(m.at, x.known, budget, &x.filter, dst)
		s.more = true // at least the end of the walk
		if lost {
			x.filter.Have = nil
			s.beginSnapshot()
			return dst, s.nothing()
		}
		if x.level = level; level {
			x.end, x.due = next, s.Now()+x.every
		}
		return pieces, s.ran(len(pieces)-len(dst), next)
	}
	next, pieces, lagged := r.CutSome(m.at, budget, &x.filter, dst)
	if lagged {
		s.more = true
		s.lagged()
		return dst, s.nothing()
	}
	if s.more = s.more || next < r.Head(); next >= r.Head() && len(pieces) > len(dst) {
		x.due = s.Now() + x.every
	}
	return pieces, s.ran(len(pieces)-len(dst), next)
}

// ran returns the Cut of a step that has cut that many pieces. next is the cursor after them.
// Without pieces the cursor moves at once.
func (s *step) ran(pieces int, next uint64) Cut {
	cut := s.nothing()
	cut.newest = s.x.walk != walkNone
	if pieces == 0 {
		s.move(s.m, s.x, next, 0)
		return cut
	}
	cut.next, cut.late = next, s.x.Late()
	cut.counted = s.x.walk == walkSnapshot || s.x.walk == walkResume
	return cut
}

// beginSnapshot makes the member walk all last values, from the oldest update on. The client is
// told when the member's turn comes: the notices of a thousand rooms at once are more than may wait
// for a client that reads.
func (s *step) beginSnapshot() {
	m, x, r := s.m, s.x, s.m.Room()
	x.walk, x.begin, x.level, m.at = walkSnapshot, true, false, 0
	x.known, x.filter.Until = r.Forgotten(), r.Head()
	s.Counts.Snapshots++
}

// lagged does what the class says about a member whose next frames the tape has dropped. It returns
// false if the connection is being closed, or if the client cannot be told now and the member
// stays.
func (s *step) lagged() bool {
	m, r := s.m, s.m.Room()
	if r.Class().Lag == rooms.LagClose {
		s.c.TooSlow(r)
		return false
	}
	from, to, tail := s.Table.GapAt(r, m.at)
	if !s.tell(wire.AppendGap(nil, r.Name(), from, to)) {
		return false
	}
	s.Counts.Gaps++
	s.Counts.GapFrames += tail - m.at
	s.skipTo(tail)
	return true
}

// skipTo makes the member continue at frame number tail. In a room with keyframes it starts at a
// keyframe again, even one that its client has. If there is none, it waits for one: changes alone
// mean nothing.
func (s *step) skipTo(tail uint64) {
	s.m.at = tail
	r := s.m.Room()
	if !r.Pattern().Keyframed {
		return
	}
	if s.x != nil {
		s.x.filter.Have = nil
	}
	if _, ok := r.Keyframe(); !ok {
		s.needs().await = true
	}
}
