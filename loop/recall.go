package loop

import (
	"slices"

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
		l.engine.cfg.PositionsAt(ref.Pattern, ref.SinceTime, func(at rooms.Positions, err error) {
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
			r.TooOld, r.Resume = &rooms.TooOldError{}, nil
			continue
		}
		j.waiting++
		l.engine.cfg.Recall(&rooms.Recall{
			Pattern: r.Pattern, Room: r.Name, User: l.handler.User(c), Epoch: r.Since.Epoch, After: r.Resume.After(), UpTo: r.Resume.UpTo,
			Done: func(p *rooms.Past, err error) {
				l.post(event{kind: evRecalled, conn: c, arg: &recalled{j, i, p, err}})
			},
		})
	}
	return j.waiting > 0
}

// recalled takes what was read again.
func (l *Loop) recalled(c *Conn, a *recalled) {
	if a.j.pasts[a.seat] = a.past; a.err != nil {
		r := a.j.given[a.seat]
		r.TooOld, r.Resume = a.err, nil
	}
	if a.j.waiting--; a.j.waiting == 0 {
		l.joined(c, a.j)
	}
}

// reseat is for a seat whose tape has gone on without it while the past was read
// and sent: it is given another seam, and what lies between is read again too.
// By what it was sent, it stands where it last asked up to, or further where its
// client came from a node that was ahead.
func (l *Loop) reseat(c *Conn, t *seat, x *special) {
	x.waiting = true
	r := t.sub.Room()
	since := rooms.Positions{Epoch: x.epoch, Offsets: slices.Clone(x.upTo)}.Raised(x.epoch, x.sift.Have)
	j := &rooms.Join{User: l.handler.User(c), Rooms: []rooms.Seat{{Name: r.Name(), Pattern: r.Pattern(), Since: &since}}}
	j.Done = func(*rooms.Join) { l.post(event{kind: evReseated, conn: c, arg: &reseated{seat: &j.Rooms[0]}}) }
	l.table.Join(l.listener, j)
}

// reseated is the answer to reseat, at first without the past.
type reseated struct {
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
	if k < 0 || !c.seats[k].special || !c.special(&c.seats[k]).waiting {
		return // it has left meanwhile
	}
	t, how := &c.seats[k], given.Resume
	x := c.special(t)
	switch {
	case given.TooOld != nil || a.err != nil || how.Recall && l.engine.cfg.Recall == nil:
		x.waiting, x.upTo = false, nil
		l.lagged(c, t)
	case how.Recall && !a.read:
		l.engine.cfg.Recall(&rooms.Recall{
			Pattern: given.Pattern, Room: given.Name, User: l.handler.User(c), Epoch: x.epoch, After: how.Have, UpTo: how.UpTo,
			Done: func(p *rooms.Past, err error) {
				l.post(event{kind: evReseated, conn: c, arg: &reseated{given, p, true, err}})
			},
		})
		return
	default:
		x.waiting, t.at, x.seam = false, given.At, given.At
		x.sift.Resumed(how)
		x.upTo, x.past, x.pastAt = how.UpTo, a.past, 0
	}
	l.ready.add(c)
}

// gatherPast cuts what the seat lacks of what was read again.
func (l *Loop) gatherPast(k, left int, x *special) {
	s, had := &l.send, len(l.send.pieces)
	var next int
	next, s.pieces = x.past.Cut(x.pastAt, left, &x.sift, x.upTo, s.pieces)
	s.more = true
	if len(s.pieces) == had { // the end: now the tape
		x.past = nil
		return
	}
	s.runs = append(s.runs, run{seat: k, pieces: len(s.pieces) - had, next: uint64(next), past: true})
}
