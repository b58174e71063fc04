package loop

import (
	"errors"
	"strings"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// maxUnsent is how many unsent frames of its rooms a wildcard looks at to find its positions: about
// 0.2 ms. If there are more, it keeps its last positions.
const maxUnsent = 16 << 10

// matches reports whether the wildcard matches the room.
func (w *wildcard) matches(p *rooms.Pattern, name string) bool {
	return p == w.ref.Pattern && strings.HasPrefix(name, w.prefix())
}

// took sets the first positions of a wildcard that was joined. None of its rooms starts, or stands,
// before them.
func (w *wildcard) took(l *Loop, j *joining) {
	if w.lost != nil {
		w.from = nil
	}
	if w.from != nil {
		w.at = *w.from
	} else {
		w.at, _ = w.watch.Seams()
	}
	lower := func(x *Joined) {
		if w.from == nil || x.Positions.Epoch != "" { // empty: the room begins with a snapshot
			w.at = w.at.Lowered(x.Positions)
		}
	}
	for i := range w.list {
		if x := &w.list[i]; x.Err != nil {
			w.refused = append(w.refused, x.Name)
		} else {
			lower(x)
		}
	}
	for i := range j.list { // joined by name, with positions of their own
		switch x := &j.list[i]; {
		case x.Wildcard || !w.matches(j.refs[i].Pattern, x.Name):
		case x.Err == nil:
			lower(x)
		case !errors.Is(x.Err, ErrAlready):
			w.refused = append(w.refused, x.Name)
		}
	}
	if w.from == nil && len(w.refused) > 0 {
		w.at = rooms.Positions{}
	}
	w.at = w.lowered(l, w.at, w.conn.members[:j.had])
	w.out.Positions = w.at
}

// advance moves the wildcard's positions to where its rooms stand now: what the tapes of all shards
// have, less what was not sent. They stay while a room has appeared and is not joined yet, or while
// the client may lack something of a room.
//
// The order of these loads matters: see rooms.Watch.Appeared and, for the heads, publish in package
// rooms.
func (w *wildcard) advance(l *Loop, c *Conn) {
	if w.pending || w.full {
		return
	}
	at := l.table.Level(w.ref.Pattern.Feed)
	if at.Epoch == "" || w.watch.Appeared() != w.taken {
		return
	}
	for _, name := range w.refused {
		if c.find(name) < 0 {
			return
		}
	}
	if at = w.lowered(l, at, c.members); at.Epoch != "" {
		w.at = at.Raised(w.at.Epoch, w.at.Offsets)
	}
}

// lowered returns at, less what was not sent to the members that belong to the wildcard or match
// it. It is empty if that is not known.
func (w *wildcard) lowered(l *Loop, at rooms.Positions, members []member.Member) rooms.Positions {
	left := uint64(maxUnsent)
	for i := range members {
		t := &members[i]
		r := t.Room()
		if t.Wildcard != w.id && !w.matches(r.Pattern(), r.Name()) {
			continue
		}
		x := w.conn.extra(t)
		if x != nil && x.Lacks() {
			return rooms.Positions{}
		}
		head := r.Head()
		if t.At() == head {
			continue
		}
		if head-t.At() > left {
			return rooms.Positions{}
		}
		left -= head - t.At()
		if at = at.Lowered(l.rules.Reached(t, x)); at.Epoch == "" {
			return at
		}
	}
	return at
}
