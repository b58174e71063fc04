package loop

import (
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// found gives a room that has appeared to those who wait for it, a slice's worth
// of them at a time.
func (l *Loop) found(f *rooms.Found) {
	end := time.Now().Add(slice)
	for i, w := range f.Watches {
		wild := w.Local.(*wild)
		l.foundOne(wild, &f.Seat)
		wild.taken++
		if !time.Now().Before(end) && i+1 < len(f.Watches) {
			f.Watches = f.Watches[i+1:]
			l.post(event{kind: evFound, arg: f})
			return
		}
	}
}

// foundOne sits down in a room that has appeared, unless the wildcard was given
// up, or the connection is there already.
func (l *Loop) foundOne(w *wild, s *rooms.Seat) {
	c := w.conn
	switch {
	case w.pending && (w.watch.Most == 0 || len(w.early) <= w.watch.Most):
		w.early = append(w.early, s)
		return
	case w.pending: // it is full already
		if c.seatIn(s.Sub) < 0 {
			w.dropped = s.Name
		}
		l.table.Leave(s.Sub)
		return
	case w.id == 0 || w.full || c.seatIn(s.Sub) >= 0 || slices.Contains(w.refused, s.Name):
		l.table.Leave(s.Sub)
		return
	}
	var err error
	if most := w.watch.Most; most > 0 && w.rooms >= most {
		err = &LimitError{Name: "rooms_per_wildcard", Most: most}
	} else if w.ref.Reserve != nil {
		err = w.ref.Reserve(1)
	}
	if err != nil {
		l.table.Leave(s.Sub)
		l.fill(w, s.Name, err)
		return
	}
	l.sit(c, s.Sub, s.At)
	t := &c.seats[len(c.seats)-1]
	t.wild = w.id
	w.rooms++
	ref := w.lateTo(s)
	ref.Keys, ref.Every, ref.await = w.ref.Keys, w.ref.Every, s.Await
	l.seated(c, t, &ref)
	if ref.Since != nil { // the seat is others', too
		told := *s
		told.Positions = *ref.Since
		s = &told
	}
	c.makeSpecial(t).found = s
	l.ready.add(c)
}

// fill ends the watch of a wildcard that has come to a limit, and says so: what it
// has joined it keeps.
func (l *Loop) fill(w *wild, room string, err error) {
	w.full = true
	l.endWatch(w)
	l.stats.WildcardsFull++
	var limit LimitError
	if e := (*LimitError)(nil); errors.As(err, &e) {
		limit = *e
	}
	l.answer(w.conn, wire.AppendLimit(nil, w.ref.Name, room, limit.Name, limit.Most))
}

// announce tells the client of a room that has appeared, before its first frame;
// false: not now, because it does not read what waits for it.
func (l *Loop) announce(c *Conn, t *seat, x *special) bool {
	s := x.found
	w := c.wild(t.wild)
	text := wire.AppendJoined(nil, s.Name, w.ref.Name, s.Pattern.Class.Name, w.chain(), s.Positions, s.Partial)
	if !l.tell(c, wire.TextFrame(text)) {
		return false
	}
	x.found = nil
	return true
}
