package loop

import (
	"strings"

	"tapecast/rooms"
)

// maxUnsent is how many frames of its rooms a wildcard looks at, that were not sent, to tell
// where it stands: some 0.2 ms. Where there are more, it stands where it last stood.
const maxUnsent = 16 << 10

// matches reports whether a room is one that the wildcard stands for.
func (w *wild) matches(p *rooms.Pattern, name string) bool {
	return p == w.ref.Pattern && strings.HasPrefix(name, w.prefix())
}

// placeWild moves the wildcard's place on to where its rooms stand now: to what the tapes of
// all shards have, less what was not sent of a room. Rooms that have appeared and were not
// taken yet, and those of which the client may lack something, leave it where it is.
//
// The order matters: see rooms.Watch.Appeared and, for the heads, rooms' publish.
func (l *Loop) placeWild(c *Conn, w *wild) {
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
	left := uint64(maxUnsent)
	for i := range c.seats {
		t := &c.seats[i]
		r := t.sub.Room()
		if t.wild != w.id && !w.matches(r.Pattern(), r.Name()) {
			continue
		}
		x := c.special(t)
		if x != nil && x.lacks() {
			return
		}
		head := r.Head()
		if t.at == head {
			continue
		}
		if head-t.at > left {
			return
		}
		left -= head - t.at
		if at = at.Lowered(l.reached(t, x)); at.Epoch == "" {
			return
		}
	}
	w.at = at.Raised(w.at.Epoch, w.at.Offsets)
}

// lacks reports whether the client may lack something from before the seat's cursor.
func (x *special) lacks() bool {
	return x.walk == walkSnapshot || x.await || x.past != nil || x.more || x.waiting || x.missed != nil
}
