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

// seek begins to look for what the wildcards of a join lack since their positions (see package
// member). It returns false if there is nothing to wait for.
func (j *joining) seek(l *Loop, c *Conn) bool {
	if j.sought || c.state != stOpen {
		return false
	}
	j.sought = true
	j.waiting++ // until all wildcards were looked at
	found := false
	for _, w := range j.wildcards {
		ask, known := l.rules.Missed(&w.Wildcard)
		if found = found || known; ask == nil {
			continue
		}
		ask.Payer = l.handler.Payer(c)
		ask.Names = func(names []string, err error) {
			l.do(func(l *Loop) {
				w.Named(names, err)
				j.soughtAll(l, c)
			})
		}
		j.waiting++
		j.recalls = append(j.recalls, ask)
		l.engine.cfg.Recall(ask)
	}
	if !found && j.waiting == 1 {
		j.waiting = 0
		return false
	}
	j.soughtAll(l, c)
	return true
}

// soughtAll is called after each answer. After the last one the rooms are joined.
func (j *joining) soughtAll(l *Loop, c *Conn) {
	if j.waiting--; j.waiting > 0 {
		return
	}
	join := &rooms.Join{Payer: l.handler.Payer(c)}
	if c.state == stOpen {
		for _, w := range j.wildcards {
			again := l.rules.Again(&w.Wildcard, func(room string) bool { return j.named(c, room) })
			w.again, join.Rooms = len(again), append(join.Rooms, again...)
		}
	}
	join.Done = func(*rooms.Join) {
		l.do(func(l *Loop) {
			j.again = join.Rooms
			j.goOn(l, c)
		})
	}
	l.table.Join(l.listener, join)
}

// collect makes one list of everything that the appenders gave. It leaves the rooms of refused
// wildcards first, and those that the connection is in already.
func (j *joining) collect(l *Loop, c *Conn) {
	j.given = make([]*rooms.Member, 0, len(j.join.Rooms))
	for i := range j.join.Rooms {
		j.given = append(j.given, &j.join.Rooms[i])
	}
	j.requests = make([]request, 0, len(j.given))
	for i := range j.list {
		if out := &j.list[i]; !out.Wildcard && out.Err == nil {
			j.requests = append(j.requests, request{ref: &j.refs[i], out: out})
		}
	}
	j.wildcards = slices.DeleteFunc(j.wildcards, func(w *wildcard) bool {
		l.rules.Give(&w.Wildcard, j.again[:w.again], func(room string) bool { return j.named(c, room) })
		j.again = j.again[w.again:]
		if err := w.refusal(); err != nil {
			j.refuse(l, w, err)
			return true
		}
		list := make([]Joined, len(w.Given))
		j.list[w.index].Rooms = list
		for k := range w.Given {
			s := &w.Given[k]
			list[k] = Joined{Name: s.Name, Class: s.Pattern.Class.Name}
			j.given = append(j.given, s)
			j.requests = append(j.requests, request{ref: &j.refs[w.index], out: &list[k], wildcard: w})
		}
		return false
	})
}
