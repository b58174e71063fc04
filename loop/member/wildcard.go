package member

import (
	"errors"
	"fmt"
	"slices"
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

// Missed finds out which rooms have messages that the client of a new wildcard lacks. ask is the
// question for the topic: the caller adds who pays for it and where the answer goes, which is Named.
// It is nil if the topic need not be asked. known says that there are such rooms and that their
// names are known already.
func (r *Rules) Missed(w *Wildcard) (ask *rooms.Recall, known bool) {
	if w.Watch.From == nil || w.Lost != nil || w.Watch.Err() != nil || w.TooMany() {
		return nil, false
	}
	if ask, w.Lost = w.missed(r.Recalls); w.Lost != nil {
		w.from = nil
	}
	return ask, w.names != nil
}

// missed is Missed for a wildcard that resumes. The error says why it cannot.
func (w *Wildcard) missed(recalls bool) (*rooms.Recall, error) {
	low, high := w.Watch.Seams()
	since, f := w.Watch.From, w.Watch.Pattern.Feed
	switch {
	case f == nil || f.Index() < 0:
		return nil, &rooms.TooOldError{Why: "no topic feeds its rooms"}
	case high.Epoch == "":
		why := "the gateway has not read the topic of its rooms yet"
		return nil, &rooms.NotNowError{Why: why, RetryAfter: time.Second}
	}
	after := since.Of(high.Offsets)
	for _, o := range since.Offsets {
		unknown := !slices.ContainsFunc(after, func(p rooms.Pos) bool { return p.Partition == o.Partition })
		if unknown && since.Epoch == high.Epoch { // another node knows it already
			why := fmt.Sprintf("the gateway does not know partition %d of its rooms' topic yet", o.Partition)
			return nil, &rooms.NotNowError{Why: why, RetryAfter: time.Second}
		}
	}
	w.from = &rooms.Positions{Epoch: since.Epoch, Offsets: after}
	if since.Epoch == high.Epoch && slices.Equal(after, low.Offsets) && slices.Equal(after, high.Offsets) {
		return nil, nil // nothing came since
	}
	if names, ok := w.Watch.Changed(); ok {
		w.names = names
		return nil, nil
	}
	ask := &rooms.Recall{
		Pattern: w.Watch.Pattern, Room: w.Watch.Prefix, Epoch: since.Epoch, Lost: since.Foreign(high.Epoch),
		After: after, UpTo: high.Offsets, Most: w.Watch.Most,
	}
	if !recalls {
		return nil, &rooms.TooOldError{Why: ask.Lost}
	}
	return ask, nil
}

// Named takes the topic's answer to Missed.
func (w *Wildcard) Named(names []string, err error) {
	w.names, w.read = names, true
	if w.Lost = err; err != nil {
		w.from = nil
	}
}

// Again returns the rooms that must be joined again, from the wildcard's positions: those with
// messages since, or all if its client comes from a node that was ahead. It leaves out rooms that
// the client joins, or has joined, by name.
func (r *Rules) Again(w *Wildcard, named func(room string) bool) (again []rooms.Member) {
	if w.from == nil || w.TooMany() {
		return nil
	}
	w.Given = w.Watch.Members()
	names := slices.Clone(w.names)
	for i := range w.Given {
		if s := &w.Given[i]; s.Err == nil && !s.Positions.Cover(w.from.Offsets) {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		p, _, _ := r.Table.Catalog().Resolve(name)
		_, resumed := w.Watch.Since[name]
		if p == w.Watch.Pattern && !resumed && !named(name) {
			again = append(again, rooms.Member{Name: name, Pattern: p, Since: w.from})
		}
	}
	return again
}

// Give sets Given, the memberships that a new wildcard begins with, and At. Those in again replace
// memberships that start now. The other rooms lack nothing, or everything if the positions are lost.
// It leaves rooms that the client joins, or has joined, by name.
func (r *Rules) Give(w *Wildcard, again []rooms.Member, named func(room string) bool) {
	if w.Given == nil {
		w.Given = w.Watch.Members()
	}
	replaced := make(map[string]bool, len(again))
	for i := range again {
		replaced[again[i].Name] = true
	}
	w.Given = slices.DeleteFunc(w.Given, func(s rooms.Member) bool {
		gone := replaced[s.Name] || named(s.Name)
		if gone && s.Err == nil {
			r.Table.Leave(s.Sub)
		}
		return gone
	})
	for i := range w.Given {
		s := &w.Given[i]
		switch {
		case s.Since != nil || s.Err != nil: // it has positions of its own
		case w.Lost != nil:
			s.Since, s.TooOld = w.Watch.From, w.Lost
		case w.from != nil:
			s.Since, s.Positions = w.from, s.Positions.Raised(w.from.Epoch, w.from.Offsets)
			s.Resume = &rooms.Resume{Have: s.Positions.Offsets, Until: s.Sub.Room().Head()}
			s.Await = false // the client has the book up to there
		}
	}
	w.Given = append(w.Given, again...)
	slices.SortFunc(w.Given, rooms.ByName)
	if w.from != nil {
		w.At = *w.from
	} else {
		w.At, _ = w.Watch.Seams()
	}
}

// Judged reports whether what a membership lacks lies in the range for which the names were read.
// Then the user has paid for it with the names, and it does not count again for each room.
func (w *Wildcard) Judged(s *rooms.Member) bool {
	return w.read && w.from != nil && s.Since.Epoch == w.from.Epoch && s.Since.Cover(w.from.Offsets)
}
