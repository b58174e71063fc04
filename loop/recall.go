package loop

import (
	"container/heap"
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
)

// placed is the answer to one request for the place of a time.
type placed struct {
	j   *joining
	ref int
	at  rooms.Positions
	err error
}

// place asks for the places of the times that a join names; false: of none. The
// join goes on when the last of them is known.
func (l *Loop) place(c *Conn, j *joining) bool {
	for i := range j.refs {
		ref := &j.refs[i]
		if ref.SinceTime == 0 || ref.Since != nil || ref.lost != nil {
			continue
		}
		if l.engine.cfg.PositionsAt == nil {
			ref.lost = &rooms.TooOldError{Why: "no topic is read here"}
			continue
		}
		j.waiting++
		l.engine.cfg.PositionsAt(ref.Pattern, ref.SinceTime, l.handler.User(c), func(at rooms.Positions, err error) {
			l.post(event{kind: evPlaced, conn: c, arg: &placed{j, i, at, err}})
		})
	}
	return j.waiting > 0
}

// placed takes the place of a time.
func (l *Loop) placed(c *Conn, a *placed) {
	ref := &a.j.refs[a.ref]
	if ref.lost = a.err; a.err == nil {
		ref.Since = &a.at
	}
	if a.j.waiting--; a.j.waiting == 0 && c.state == stOpen {
		l.join(c, a.j)
	}
}

// recalled is the answer to one seat's Recall.
type recalled struct {
	j    *joining
	seat int
	past *rooms.Past
	err  error
}

// recall asks for what the tapes no longer hold of the rooms that are being
// joined; false: of none. The join goes on when the last of them is here, so
// that its reply can say whether it is.
func (l *Loop) recall(c *Conn, j *joining) bool {
	if j.pasts != nil {
		return false
	}
	for i, r := range j.given {
		if r.Err != nil || r.Resume == nil || !r.Resume.Recall {
			continue
		}
		if j.pasts == nil {
			j.pasts = make([]*rooms.Past, len(j.given))
		}
		if l.engine.cfg.Recall == nil {
			l.beginNow(r, &rooms.TooOldError{Why: r.Resume.Lost})
			continue
		}
		j.waiting++
		ask := &rooms.Recall{
			Pattern: r.Pattern, Room: r.Name, User: l.handler.User(c), Epoch: r.Since.Epoch,
			Lost: r.Resume.Lost, After: r.Resume.After(), UpTo: r.Resume.UpTo, Judged: j.places[i].wild.asked(r),
			Done: func(p *rooms.Past, err error) {
				l.post(event{kind: evRecalled, conn: c, arg: &recalled{j, i, p, err}})
			},
			TakeBack: l.takesBack(c, r.Sub),
		}
		j.recalls = append(j.recalls, ask)
		l.engine.cfg.Recall(ask)
	}
	return j.waiting > 0
}

// dropRecalls says that nobody waits for what the join has asked for.
func (j *joining) dropRecalls() {
	for _, r := range j.recalls {
		r.Drop()
	}
}

// giveBack lets go of a past that waits for those of other rooms of the join, which may
// wait for its memory: once the join is answered its seat asks again.
func (j *joining) giveBack(p *rooms.Past) bool {
	i := slices.Index(j.pasts, p)
	if i < 0 || j.waiting == 0 {
		return false
	}
	j.pasts[i] = rooms.NoPast(j.given[i].Resume.After())
	p.Release()
	return true
}

// releasePasts lets go of what was read again for seats that have no use for it; c is
// nil where none has.
func (j *joining) releasePasts(c *Conn) {
	for i, p := range j.pasts {
		var x *special
		if c != nil && c.extras != nil {
			x = c.extras.specials[j.given[i].Sub]
		}
		if x == nil || x.past != p {
			p.Release()
		}
	}
}

// recalled takes what was read again.
func (l *Loop) recalled(c *Conn, a *recalled) {
	if a.j.pasts[a.seat] = a.past; a.err != nil {
		l.beginNow(a.j.given[a.seat], a.err)
	}
	if a.j.waiting--; a.j.waiting == 0 {
		l.joined(c, a.j)
	}
}

// beginNow has a seat that was to go on from where its client was begin now instead.
func (l *Loop) beginNow(given *rooms.Seat, why error) {
	given.TooOld, given.Resume = why, nil
	given.At, given.Positions, given.Await = l.table.Entry(given.Sub.Room())
}

// beginPast has the seat sent p first, which was asked for up to upTo; nil: there is
// nothing on this side of the tape.
func (x *special) beginPast(p *rooms.Past, upTo []rooms.Pos) {
	x.past, x.upTo, x.pastAt, x.more = p, upTo, 0, false
	if upTo == nil {
		x.last = nil
	}
	if p != nil && p.UpTo != nil {
		x.upTo, x.more = p.UpTo, true
	}
}

// takesBack returns what a Recall for the seat is to do when others need its memory.
func (l *Loop) takesBack(c *Conn, sub *rooms.Sub) func(*rooms.Past) {
	return func(p *rooms.Past) {
		l.post(event{kind: evDo, arg: func(l *Loop) { l.takeBack(c, sub, p) }})
	}
}

// takeBack lets go of a past that the client is not sent: where it stands is kept, and
// it asks again once its socket takes bytes.
func (l *Loop) takeBack(c *Conn, sub *rooms.Sub, p *rooms.Past) {
	if c.side != nil && c.side.joining != nil && c.side.joining.giveBack(p) {
		return
	}
	if c.extras == nil {
		return
	}
	x := c.extras.specials[sub]
	if x == nil || x.past != p {
		return
	}
	x.last = p.Lasts(x.pastAt, x.upTo, x.last)
	x.upTo, x.more = p.Reached(x.pastAt, &x.sift, x.upTo), true
	p.Release()
	x.past = nil
	l.ready.add(c)
}

// reseat is for a seat that has been sent the past it was given and lacks more of it,
// or whose tape has gone on without it meanwhile: it is given another seam, and what
// lies between is read again too. By what it was sent, it stands where upTo says, or
// further where its client came from a node that was ahead.
func (l *Loop) reseat(c *Conn, t *seat, x *special) {
	x.waiting = true
	r := t.sub.Room()
	since := rooms.Positions{Epoch: x.epoch, Offsets: slices.Clone(x.upTo)}.Raised(x.epoch, x.sift.Have)
	again := rooms.Seat{Name: r.Name(), Pattern: r.Pattern(), Since: &since}
	j := &rooms.Join{User: l.handler.User(c), Rooms: []rooms.Seat{again}}
	j.Done = func(*rooms.Join) { l.post(event{kind: evReseated, conn: c, arg: &reseated{of: x, seat: &j.Rooms[0]}}) }
	l.table.Join(l.listener, j)
}

// reseated is the answer to reseat, at first without the past.
type reseated struct {
	of   *special // its seat may have been left meanwhile, and taken again
	seat *rooms.Seat
	past *rooms.Past
	read bool // the past is there
	err  error
}

func (l *Loop) reseated(c *Conn, a *reseated) {
	given := a.seat
	if !a.read && given.Err == nil {
		l.table.Leave(given.Sub) // the seat that it has is enough
	}
	k := -1
	if c.state == stOpen && given.Err == nil {
		k = c.seatIn(given.Sub)
	}
	if k < 0 || c.special(&c.seats[k]) != a.of || !a.of.waiting {
		a.past.Release()
		return // it has left meanwhile
	}
	t, how, x := &c.seats[k], given.Resume, a.of
	x.recall = nil
	err := a.err
	if err == nil {
		err = given.TooOld
	}
	if err == nil && how != nil && how.Lost != "" {
		err = &rooms.TooOldError{Why: how.Lost}
	}
	var notNow *rooms.NotNowError
	switch {
	case errors.As(err, &notNow):
		l.askLater(x, notNow.RetryAfter)
	case err != nil || how.Recall && l.engine.cfg.Recall == nil:
		l.lose(c, t, x, given.Since)
	case how.Recall && !a.read:
		x.recall = &rooms.Recall{
			Pattern: given.Pattern, Room: given.Name, User: l.handler.User(c), More: true,
			Epoch: x.epoch, After: how.Have, UpTo: how.UpTo, Last: x.lastAt(how.Have),
			Done: func(p *rooms.Past, err error) {
				l.post(event{kind: evReseated, conn: c, arg: &reseated{x, given, p, true, err}})
			},
			TakeBack: l.takesBack(c, given.Sub),
		}
		l.engine.cfg.Recall(x.recall)
		return
	default:
		x.waiting, t.at, x.seam = false, given.At, given.At
		x.sift.Resumed(how)
		x.beginPast(a.past, how.UpTo)
	}
	l.ready.add(c)
}

// lastAt is what is known of the room's last messages by a client that has what have says:
// nothing of a partition of which it has more than it was sent.
func (x *special) lastAt(have []rooms.Pos) (last []rooms.Pos) {
	for _, p := range x.last {
		sent := slices.IndexFunc(x.upTo, func(u rooms.Pos) bool { return u.Partition == p.Partition })
		if sent >= 0 && slices.Contains(have, x.upTo[sent]) {
			last = append(last, p)
		}
	}
	return last
}

// lose has a seat go on whose past cannot be had any more, since it was last at since: with
// what the tape still holds, behind a gap, or not at all, as its class says.
func (l *Loop) lose(c *Conn, t *seat, x *special, since *rooms.Positions) {
	x.waiting = false
	x.beginPast(nil, nil)
	r := t.sub.Room()
	if r.Class().Lag == rooms.LagClose {
		l.lagClose(c, r)
		return
	}
	_, to, tail := l.table.GapAt(r, t.at)
	if to.Epoch != since.Epoch && tail < t.at { // what lies before the seam is of another topic
		tail, to = t.at, l.table.PositionsAt(r, t.at)
	}
	x.sift.Have = nil
	if to.Epoch == since.Epoch { // the tape may hold some of what it was sent
		x.sift.Have = since.Offsets
	}
	x.missed = &missed{*since, to.Raised(since.Epoch, since.Offsets)}
	l.skipTo(c, t, tail)
	l.ready.add(c)
}

// askLater has a seat whose past cannot be had now ask again: that passes, and nothing
// is lost meanwhile.
func (l *Loop) askLater(x *special, after time.Duration) {
	x.waiting, x.more = false, true
	x.retry = l.engine.now() + max(after, minRetry)
	x.due = max(x.due, x.retry)
	if x.place > 0 {
		heap.Fix(&l.delays, x.place-1)
		return
	}
	heap.Push(&l.delays, x)
}

// minRetry is the least time between two tries of a seat to get what it lacks.
const minRetry = 100 * time.Millisecond

// gatherPast cuts what the seat lacks of what was read again.
func (l *Loop) gatherPast(k, left int, x *special) {
	s, had := &l.send, len(l.send.pieces)
	var next int
	next, s.pieces = x.past.Cut(x.pastAt, left, &x.sift, x.upTo, s.pieces)
	s.more = true
	x.past.Sent(x.pastAt)
	if len(s.pieces) == had { // the end: now the next part of it, or the tape
		x.last = x.past.Lasts(x.past.Frames(), x.upTo, x.last)
		x.past.Release()
		x.past = nil
		return
	}
	s.runs = append(s.runs, run{seat: k, pieces: len(s.pieces) - had, next: uint64(next), past: true})
}
