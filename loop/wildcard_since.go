package loop

import (
	"slices"

	"tapecast/rooms"
)

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
		ask.User = l.handler.User(c)
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
	join := &rooms.Join{User: l.handler.User(c)}
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
