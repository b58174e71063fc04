package member

import (
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
)

// minRetry is the least time between two attempts of a member to get what it lacks.
const minRetry = 100 * time.Millisecond

// beginPast makes the member send p first. p was asked for up to upTo, which is nil if everything
// is on the tape.
func (x *Extra) beginPast(p *rooms.Past, upTo []rooms.Pos) {
	x.past, x.upTo, x.pastAt, x.more = p, upTo, 0, false
	if upTo == nil {
		x.last = nil
	}
	if p != nil && p.UpTo != nil {
		x.upTo, x.more = p.UpTo, true
	}
}

// cutPast cuts from what was read again.
func (s *step) cutPast(budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	x := s.x
	next, pieces := x.past.Cut(x.pastAt, budget, &x.filter, x.upTo, dst)
	s.more = true
	x.past.Sent(x.pastAt)
	cut := s.nothing()
	if len(pieces) == len(dst) { // the end: the next part or the tape follows
		x.last = x.past.Lasts(x.past.Frames(), x.upTo, x.last)
		x.past.Release()
		x.past = nil
		return dst, cut
	}
	cut.next, cut.past = uint64(next), true
	return pieces, cut
}

// Holds reports whether the member holds p.
func (x *Extra) Holds(p *rooms.Past) bool { return x != nil && x.past == p }

// TakeBack releases a past if the member holds it. The member keeps its position, and asks again
// once the client takes bytes.
func (x *Extra) TakeBack(p *rooms.Past) {
	if !x.Holds(p) {
		return
	}
	x.last = p.Lasts(x.pastAt, x.upTo, x.last)
	x.upTo, x.more = p.Reached(x.pastAt, &x.filter, x.upTo), true
	p.Release()
	x.past = nil
	x.client.Wake()
}

// rejoin joins the room again for a member that has been sent its past and lacks more, or whose
// tape has dropped its next frames meanwhile. The member gets another seam, and what lies between
// is read again. It stands where upTo says, or further if its client came from a node that was
// ahead.
func (s *step) rejoin() {
	x := s.x
	x.waiting = true
	since := rooms.Positions{Epoch: x.epoch, Offsets: slices.Clone(x.upTo)}.Raised(x.epoch, x.filter.Have)
	s.c.Rejoin(x, s.m.Room(), since)
}

// Rejoined takes the answer to Client.Rejoin. With read it takes the answer to the Client.Recall
// that followed. x is the member's Extra. A past without use is released.
func (r *Rules) Rejoined(m *Member, x *Extra, given *rooms.Member, past *rooms.Past, read bool, err error) {
	if !x.waiting {
		past.Release()
		return
	}
	s, how := step{Rules: r, m: m, x: x, c: x.client}, given.Resume
	x.recall = nil
	if err == nil {
		err = given.TooOld
	}
	if err == nil && how != nil && how.Lost != "" {
		err = &rooms.TooOldError{Why: how.Lost}
	}
	var notNow *rooms.NotNowError
	switch {
	case errors.As(err, &notNow):
		s.askLater(notNow.RetryAfter)
	case err != nil || how.Recall && !r.Recalls:
		if !s.lose(given.Since) {
			return
		}
	case how.Recall && !read:
		x.recall = &rooms.Recall{
			Pattern: given.Pattern, Room: given.Name, More: true,
			Epoch: x.epoch, After: how.Have, UpTo: how.UpTo, Last: x.lastAt(how.Have),
		}
		x.client.Recall(x, given, x.recall)
		return
	default:
		x.waiting, m.at, x.seam = false, given.At, given.At
		x.filter.Resumed(how)
		x.beginPast(past, how.UpTo)
	}
	x.client.Wake()
}

// lastAt returns the room's last messages for a client with the positions in have. It leaves out a
// partition of which the client has more than it was sent.
func (x *Extra) lastAt(have []rooms.Pos) (last []rooms.Pos) {
	for _, p := range x.last {
		sent := slices.IndexFunc(x.upTo, func(u rooms.Pos) bool { return u.Partition == p.Partition })
		if sent >= 0 && slices.Contains(have, x.upTo[sent]) {
			last = append(last, p)
		}
	}
	return last
}

// lose makes a member continue whose past is lost, since its client was last at since. As the class
// says, it continues with what the tape still holds, after a gap, or its connection is closed. It
// returns false if the connection is being closed.
func (s *step) lose(since *rooms.Positions) bool {
	m, x, r := s.m, s.x, s.m.Room()
	x.waiting = false
	x.beginPast(nil, nil)
	if r.Class().Lag == rooms.LagClose {
		s.c.TooSlow(r)
		return false
	}
	_, to, tail := s.Table.GapAt(r, m.at)
	if to.Epoch != since.Epoch && tail < m.at { // frames before the seam are of another topic
		tail, to = m.at, s.Table.PositionsAt(r, m.at)
	}
	x.filter.Have = nil
	if to.Epoch == since.Epoch { // the tape may hold frames that the client has
		x.filter.Have = since.Offsets
	}
	s.skipTo(tail)
	if to.Epoch != since.Epoch || x.filter.Have != nil { // otherwise it gets a book again, whatever it has of it
		to = to.Raised(since.Epoch, since.Offsets)
	}
	x.missed = &Gap{*since, to}
	return true
}

// askLater makes a member ask again later, since its past cannot be read now. Nothing is lost
// meanwhile.
func (s *step) askLater(after time.Duration) {
	x := s.x
	x.waiting, x.more = false, true
	x.retry = s.Now() + max(after, minRetry)
	x.due = max(x.due, x.retry)
	s.delay(x)
}
