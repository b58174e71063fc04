package loop

import (
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// gather cuts from the tapes what the connection's seats lack. It begins at
// another seat each time, so that a busy room does not starve a quiet one; where few
// bytes may be sent, small rooms come first.
func (l *Loop) gather(c *Conn, most int) {
	s := &l.send
	s.left = most
	s.turn++
	n, first := len(c.seats), most < maxVisit
	if first {
		for k := range n {
			if c.seats[k].small() && !l.gatherSeat(c, k) {
				return
			}
		}
	}
	for i := range n {
		k := (s.turn + i) % n
		if first && c.seats[k].small() {
			continue
		}
		if !l.gatherSeat(c, k) {
			return
		}
	}
}

// gatherSeat is gather for one seat; false: that is all, or the connection is being closed.
func (l *Loop) gatherSeat(c *Conn, k int) bool {
	s, t := &l.send, &c.seats[k]
	r := t.sub.Room()
	head := r.Head()
	if t.at >= head && !t.special {
		return true
	}
	had := len(s.pieces)
	if s.left <= 0 || had >= maxIov/4 {
		s.more = true
		return false
	}
	if !t.special && r.Jump(t.at) && !l.lagged(c, t) {
		return s.goesOn(c)
	}
	if !t.special && l.table.Behind(r, t.at) {
		c.makeSpecial(t).walk = walkOn
	}
	if t.special {
		if !l.gatherSpecial(c, k, s.left) {
			return s.goesOn(c)
		}
		s.took(had)
		return true
	}
	next, pieces, lagged := t.cut(r, s.left, s.pieces)
	if lagged {
		if !l.lagged(c, t) {
			return s.goesOn(c)
		}
		if t.special { // it awaits a keyframe
			s.more = true
			return true
		}
		next, pieces, lagged = t.cut(r, s.left, s.pieces)
		s.more = s.more || lagged
	}
	s.pieces = pieces
	if len(pieces) > had {
		s.runs = append(s.runs, run{seat: k, pieces: len(pieces) - had, next: next})
		s.took(had)
		s.more = s.more || next < head
	}
	return true
}

// goesOn reports whether other seats have their turn after one that could not go on: not
// where the connection is being closed, and then nothing that was gathered is sent.
func (s *sender) goesOn(c *Conn) bool {
	if c.state == stOpen {
		return true
	}
	s.pieces, s.runs = s.pieces[:0], s.runs[:0]
	return false
}

// took counts the pieces from the had-th on.
func (s *sender) took(had int) {
	for _, p := range s.pieces[had:] {
		s.left -= len(p.Bytes)
	}
}

func (t *seat) cut(r *rooms.Room, max int, dst []rooms.Piece) (next uint64, pieces []rooms.Piece, lagged bool) {
	if t.deflated {
		return r.CutDeflated(t.at, max, dst)
	}
	return r.Cut(t.at, max, dst)
}

// lagged does what the class says about a seat that retention has overtaken; false: the
// connection is being closed, or the client cannot be told now, and the seat stays.
func (l *Loop) lagged(c *Conn, t *seat) bool {
	r := t.sub.Room()
	if r.Class().Lag == rooms.LagClose {
		l.lagClose(c, r)
		return false
	}
	from, to, tail := l.table.GapAt(r, t.at)
	if !l.tell(c, wire.TextFrame(wire.AppendGap(nil, r.Name(), from, to))) {
		return false
	}
	l.stats.Gaps++
	l.stats.GapFrames += tail - t.at
	l.skipTo(c, t, tail)
	return true
}

func (l *Loop) lagClose(c *Conn, r *rooms.Room) {
	l.stats.LagClosed++
	l.close(c, wire.CloseTooSlow, []byte(r.Name()))
}

// skipTo has the seat go on at frame tail.
func (l *Loop) skipTo(c *Conn, t *seat, tail uint64) {
	t.at = tail
	if t.sub.Room().Pattern().Keyframed {
		l.beginBook(c, t)
	}
}

// beginBook has a member that lags begin anew at a keyframe, also one that its client
// had, and await one where there is none: changes alone mean nothing.
func (l *Loop) beginBook(c *Conn, t *seat) {
	if x := c.special(t); x != nil {
		x.sift.Have = nil
	}
	if _, ok := t.sub.Room().Keyframe(); !ok {
		c.makeSpecial(t).await = true
	}
}
