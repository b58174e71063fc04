package member

import (
	"fmt"
	"slices"
	"time"

	"tapecast/rooms"
)

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
