package loop

import (
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// found gives a room that has appeared to the wildcards that wait for it, for one slice at a time.
func (l *Loop) found(f *rooms.Found) {
	end := time.Now().Add(slice)
	for i, w := range f.Watches {
		wildcard := w.Local.(*wildcard)
		wildcard.foundOne(l, &f.Member)
		wildcard.taken++
		if !time.Now().Before(end) && i+1 < len(f.Watches) {
			f.Watches = f.Watches[i+1:]
			l.post(event{kind: evFound, arg: f})
			return
		}
	}
}

// foundOne joins a room that has appeared, unless the wildcard was left or the connection is in the
// room already.
func (w *wildcard) foundOne(l *Loop, s *rooms.Member) {
	c := w.conn
	switch {
	case w.pending && (w.watch.Most == 0 || len(w.early) <= w.watch.Most):
		w.early = append(w.early, s)
		return
	case w.pending: // there are too many already
		if c.memberIn(s.Sub) < 0 {
			w.dropped = s.Name
		}
		l.table.Leave(s.Sub)
		return
	case w.id == 0 || w.full || c.memberIn(s.Sub) >= 0 || slices.Contains(w.refused, s.Name):
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
		w.fill(l, s.Name, err)
		return
	}
	m := c.enter(s.Sub, s.At)
	m.Wildcard = w.id
	w.rooms++
	ref := w.lateTo(s)
	ref.Keys, ref.Every, ref.await = w.ref.Keys, w.ref.Every, s.Await
	if ref.Since != nil { // other wildcards share given
		told := *s
		told.Positions = *ref.Since
		s = &told
	}
	l.begin(c, m, &ref, s)
	l.ready.add(c)
}

// fill ends the watch of a wildcard that has come to a limit, and tells the client. The wildcard
// keeps the rooms that it has joined.
func (w *wildcard) fill(l *Loop, room string, err error) {
	w.full = true
	w.endWatch(l)
	l.stats.WildcardsFull++
	var limit LimitError
	if e := (*LimitError)(nil); errors.As(err, &e) {
		limit = *e
	}
	l.answer(w.conn, wire.AppendLimit(nil, w.ref.Name, room, limit.Name, limit.Most))
}
