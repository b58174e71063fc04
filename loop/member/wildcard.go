package member

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tapecast/rooms"
)

// Wildcard is a membership by prefix. It stands for all rooms of a pattern whose names begin alike,
// also for rooms that appear later. Each of them has an ordinary Member, which carries its ID.
type Wildcard struct {
	Name  string        // ends in a star
	Keys  []string      // the wanted keys of each of its rooms; nil: all
	Every time.Duration // the least time between two sends of a room; 0: at once
	Watch rooms.Watch   // what the appenders are asked; Watch.From is where the client was

	ID    uint8 // from 1; 0: the connection does not hold it
	Rooms int   // how many rooms it has joined and not left since
	Full  bool  // it has come to a limit, and no longer watches
	Taken int   // rooms that have appeared and were joined or refused: see rooms.Watch.Appeared
	// At has the positions up to which the client was sent all matching rooms. Without an epoch
	// they are not known.
	At rooms.Positions

	// While its join is under way:
	Given []rooms.Member // what it begins with, by name: see Rules.Give
	Lost  error          // why it cannot continue from where the client was
	names []string       // of rooms with messages since
	read  bool           // the names come from the topic, and its user has paid for them

	refused map[string]bool  // rooms that existed and could not be joined
	from    *rooms.Positions // where the client was, in all partitions; nil: the wildcard starts now
}

// Matches reports whether the wildcard stands for the room.
func (w *Wildcard) Matches(p *rooms.Pattern, name string) bool {
	return p == w.Watch.Pattern && strings.HasPrefix(name, w.Watch.Prefix)
}

// Overlaps reports whether a room could match both wildcards.
func (w *Wildcard) Overlaps(o *Wildcard) bool {
	return strings.HasPrefix(o.Watch.Prefix, w.Watch.Prefix) || strings.HasPrefix(w.Watch.Prefix, o.Watch.Prefix)
}

// Chain reports whether each of its members gets each message, or a notice.
func (w *Wildcard) Chain() bool {
	return !w.Watch.Pattern.Class.Conflate && w.Keys == nil && w.Every == 0
}

// TooMany reports whether more rooms match than may be joined.
func (w *Wildcard) TooMany() bool {
	return w.Watch.Err() == nil && !w.fits(max(w.Watch.Matched(), len(w.names), len(w.Given)))
}

func (w *Wildcard) fits(n int) bool { return w.Watch.Most == 0 || n <= w.Watch.Most }

// NotNow returns why the wildcard cannot be joined now, or nil. If it were joined without such a
// room, the room would begin with its next record, and the client would lose what came before.
func (w *Wildcard) NotNow() error {
	if err := w.Watch.Err(); err != nil {
		return err
	}
	var notNow *rooms.NotNowError
	if errors.As(w.Lost, &notNow) {
		return w.Lost
	}
	for i := range w.Given {
		for _, err := range [...]error{w.Given[i].Err, w.Given[i].TooOld} {
			if errors.As(err, &notNow) {
				return fmt.Errorf("room %q: %w", w.Given[i].Name, err)
			}
		}
	}
	return nil
}

// Wants reports whether a room that has appeared is to be joined. full says that no more rooms may
// be.
func (w *Wildcard) Wants(room string) (ok, full bool) {
	ok = w.ID > 0 && !w.Full && !w.refused[room]
	return ok, ok && !w.fits(w.Rooms+1)
}

// Late returns what the member of a room that has appeared gets besides the live frames. The member
// starts at the first frame of the room's tape. If the client comes from a node that was ahead, it
// has some of the room. If much came since, the tape may have dropped some.
func (w *Wildcard) Late(s *rooms.Member) *Wish {
	wish := &Wish{Keys: w.Keys, Every: w.Every, Await: s.Await, Found: s, Wildcard: w.Name}
	at := s.Positions
	if w.from != nil {
		at = at.Raised(w.from.Epoch, w.from.Offsets)
	}
	gone := s.At < s.Sub.Room().Tail() && !s.Pattern.Class.Conflate
	ahead := !s.Positions.Cover(at.Offsets)
	if at.Epoch == "" || !ahead && !gone {
		return wish
	}
	wish.Epoch, wish.Resume = at.Epoch, &rooms.Resume{Have: at.Offsets, Until: s.At, Ahead: ahead}
	if gone {
		wish.Past = rooms.NoPast(at.Offsets)
	}
	told := *s // other wildcards share it
	told.Positions = at
	wish.Found = &told
	return wish
}

// Joined lowers the first positions of a wildcard to those of a room that it stands for, since the
// room may stand before them. err says that the room could not be joined.
func (w *Wildcard) Joined(room string, at rooms.Positions, err error) {
	switch {
	case err != nil:
		if w.refused == nil {
			w.refused = map[string]bool{}
		}
		w.refused[room] = true
	case w.from == nil || at.Epoch != "": // empty: the room begins with a snapshot
		w.At = w.At.Lowered(at)
	}
}

// Settle ends the join and completes the first positions. It takes the members, and their Extras,
// that the connection had before.
func (r *Rules) Settle(w *Wildcard, members []Member, extras map[*rooms.Sub]*Extra) {
	if w.from == nil && len(w.refused) > 0 {
		w.At = rooms.Positions{}
	}
	w.At = r.lowered(w, w.At, members, extras)
	w.Given, w.Lost, w.names = nil, nil, nil
}

// Advance moves the wildcard's positions to where its rooms stand now: what the tapes of all shards
// have, less what was not sent. They stay while a room has appeared and is not joined yet, or while
// the client may lack something of a room. It takes all members of the connection, and their
// Extras.
//
// The order of these loads matters: see rooms.Watch.Appeared and, for the heads, publish in package
// rooms.
func (r *Rules) Advance(w *Wildcard, members []Member, extras map[*rooms.Sub]*Extra) {
	at := r.Table.Level(w.Watch.Pattern.Feed)
	if w.Full || at.Epoch == "" || w.Watch.Appeared() != w.Taken || w.lacksRefused(members) {
		return
	}
	if at = r.lowered(w, at, members, extras); at.Epoch != "" {
		w.At = at.Raised(w.At.Epoch, w.At.Offsets)
	}
}

// lacksRefused reports whether a room that could not be joined was not joined by name since.
func (w *Wildcard) lacksRefused(members []Member) bool {
	left := len(w.refused)
	for i := 0; left > 0 && i < len(members); i++ {
		if w.refused[members[i].Room().Name()] {
			left--
		}
	}
	return left > 0
}

// maxUnsent is how many unsent frames of its rooms a wildcard looks at to find its positions: about
// 0.2 ms. If there are more, it keeps its last positions.
const maxUnsent = 16 << 10

// lowered returns at, less what was not sent to the members that belong to the wildcard or match
// it. It is empty if that is not known.
func (r *Rules) lowered(
	w *Wildcard, at rooms.Positions, members []Member, extras map[*rooms.Sub]*Extra,
) rooms.Positions {
	left := uint64(maxUnsent)
	for i := range members {
		m := &members[i]
		room := m.Room()
		if m.Wildcard != w.ID && !w.Matches(room.Pattern(), room.Name()) {
			continue
		}
		var x *Extra
		if m.extra {
			x = extras[m.sub]
		}
		if x != nil && x.Lacks() {
			return rooms.Positions{}
		}
		head := room.Head()
		if m.at == head {
			continue
		}
		if head-m.at > left {
			return rooms.Positions{}
		}
		left -= head - m.at
		if at = at.Lowered(r.reached(m, x)); at.Epoch == "" {
			return at
		}
	}
	return at
}
