package loop

import (
	"errors"
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
		wildcard.Taken++
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
	if w.pending && (w.Watch.Most == 0 || len(w.early) <= w.Watch.Most) {
		w.early = append(w.early, s)
		return
	}
	in := c.memberIn(s.Sub) >= 0
	if w.pending && !in { // there are too many already
		w.dropped = s.Name
	}
	ok, full := w.Wants(s.Name)
	if w.pending || in || !ok {
		l.table.Leave(s.Sub)
		return
	}
	var err error
	if full {
		err = w.limit(0)
	} else if w.reserve != nil {
		err = w.reserve(1)
	}
	if err != nil {
		l.table.Leave(s.Sub)
		w.fill(l, s.Name, err)
		return
	}
	m := c.enter(s.Sub, s.At)
	m.Wildcard = w.ID
	w.Rooms++
	l.begin(c, m, w.Late(s))
	l.ready.add(c)
}

// fill ends the watch of a wildcard that has come to a limit, and tells the client. The wildcard
// keeps the rooms that it has joined.
func (w *wildcard) fill(l *Loop, room string, err error) {
	w.Full = true
	l.table.Unwatch(&w.Watch)
	l.stats.WildcardsFull++
	var limit LimitError
	if e := (*LimitError)(nil); errors.As(err, &e) {
		limit = *e
	}
	l.answer(w.conn, wire.AppendLimit(nil, w.Name, room, limit.Name, limit.Most))
}
