package loop

import (
	"errors"
	"slices"

	"tapecast/rooms"
)

// join asks the appenders for seats in the rooms that the connection may join,
// once the places of all times are known.
func (l *Loop) join(c *Conn, j *joining) {
	c.sideOf().joining = j
	if l.place(c, j) {
		return
	}
	bare := slices.ContainsFunc(c.seats, func(t seat) bool { return t.sub.Room().Pattern().Bare })
	j.list = make([]Joined, len(j.refs))
	j.join.Rooms = make([]rooms.Seat, 0, len(j.refs))
	for i, ref := range j.refs {
		out := &j.list[i]
		out.Name, out.Class = ref.Name, ref.Pattern.Class.Name
		same := func(r rooms.Seat) bool { return r.Name == ref.Name }
		switch {
		case ref.Wild:
			out.Wild = true
			out.Err = l.askWild(c, j, i)
		case c.find(ref.Name) >= 0 || slices.ContainsFunc(j.join.Rooms, same):
			out.Err = ErrAlready
		case bare && ref.Pattern.Bare:
			out.Err = ErrBareRoom
		default:
			bare = bare || ref.Pattern.Bare
			j.join.Rooms = append(j.join.Rooms, rooms.Seat{Name: ref.Name, Pattern: ref.Pattern, Since: ref.Since})
		}
	}
	j.join.User = l.handler.User(c)
	j.join.Done = func(*rooms.Join) { l.post(event{kind: evJoined, conn: c, arg: j}) }
	l.table.Join(l.listener, &j.join)
}

// joined takes the seats that the appenders gave. The reply is queued before
// any frame of theirs can be.
func (l *Loop) joined(c *Conn, j *joining) {
	if j.given == nil {
		l.collect(c, j)
	}
	if c.state != stOpen {
		for _, r := range j.given {
			if r.Err == nil {
				l.table.Leave(r.Sub)
			}
		}
		for _, w := range j.wilds {
			l.dropWild(w)
		}
		return
	}
	if l.recall(c, j) {
		return
	}
	c.seats = slices.Grow(c.seats, len(j.given))
	n := 0 // of given
	take := func(ref *RoomRef, out *Joined) {
		if j.pasts != nil {
			ref.past = j.pasts[n]
		}
		l.take(c, j.given[n], ref, out)
		n++
	}
	for i := range j.list {
		out := &j.list[i]
		switch {
		case out.Wild:
		case out.Err == nil:
			take(&j.refs[i], out)
		default:
			if k := c.find(out.Name); k >= 0 {
				out.Positions = l.positions(c, &c.seats[k])
			}
		}
	}
	for _, w := range j.wilds {
		if w != nil {
			l.takeWild(c, w, take)
		}
	}
	c.side.joining = nil
	l.answer(c, j.reply(j.list))
	for i := range j.list {
		if j.list[i].Wild {
			continue
		}
		if k := c.find(j.list[i].Name); k >= 0 && j.list[i].Err == nil && c.state == stOpen {
			l.seated(c, &c.seats[k], &j.refs[i])
		}
	}
	for _, w := range j.wilds {
		if w != nil {
			l.seatedWild(c, w)
		}
	}
	l.resumeSide(c)
}

// take sits down on a seat that was given, or leaves it where it does not
// begin where the client was.
func (l *Loop) take(c *Conn, given *rooms.Seat, ref *RoomRef, out *Joined) {
	class := given.Pattern.Class
	if given.TooOld == nil {
		given.TooOld = ref.lost
	}
	out.Positions, out.TooOld, out.Err = given.Positions, given.TooOld, given.Err
	// Where the past can be had later, the client keeps its place and asks again.
	passes := errors.As(out.TooOld, new(*rooms.NotNowError))
	if out.Err == nil && out.TooOld != nil && (passes || !class.Snapshot) {
		l.table.Leave(given.Sub)
		out.Err = out.TooOld
		out.Positions = rooms.Positions{}
	}
	if out.Err != nil {
		return
	}
	l.sit(c, given.Sub, given.At)
	ref.resume, ref.await = given.Resume, given.Await
	ref.Snapshot = ref.Snapshot && given.Keys > 0 && given.Resume == nil || out.TooOld != nil
	out.Chain = !class.Conflate && ref.Keys == nil && ref.Every == 0
	if ref.Snapshot {
		out.Positions = rooms.Positions{}
	}
}
