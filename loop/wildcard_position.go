package loop

import (
	"errors"
	"strings"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// maxUnsent is how many frames of its rooms a wildcard looks at, that were not sent, to tell
// where it stands: some 0.2 ms. Where there are more, it stands where it last stood.
const maxUnsent = 16 << 10

// matches reports whether a room is one that the wildcard stands for.
func (w *wildcard) matches(p *rooms.Pattern, name string) bool {
	return p == w.ref.Pattern && strings.HasPrefix(name, w.prefix())
}

// took notes how the wildcard stands whose seats were taken: no room that matches begins,
// or stands, before its place.
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
		if w.from == nil || x.Positions.Epoch != "" { // or it has a snapshot, and before that nothing
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
	for i := range j.list { // joined by name, with a place of their own
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

// advance moves the wildcard's place on to where its rooms stand now: to what the tapes of
// all shards have, less what was not sent of a room. Rooms that have appeared and were not
// taken yet, and those of which the client may lack something, leave it where it is.
//
// The order matters: see rooms.Watch.Appeared and, for the heads, rooms' publish.
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

// lowered is at, less what was not sent of those of the members that are the wildcard's or match;
// none where that cannot be told.
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
