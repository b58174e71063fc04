package loop

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tapecast/rooms"
)

// A wildcard that resumes may lack messages of rooms that nobody on this node knows: records of
// rooms without members are skipped. So its join has three steps. First the appenders watch for it
// and give memberships that start now: from their seams on nothing is missed. Then the topic is
// asked which rooms got messages between the positions and the seams (seek), unless all appenders
// know (rooms.Watch.Changed). Last, those rooms are joined from the positions, like rooms that were
// named with positions (seekRooms). The other rooms lack nothing.

// seek begins that for the wildcards of a join. It returns false if there is nothing to wait for.
func (j *joining) seek(l *Loop, c *Conn) bool {
	if j.sought || c.state != stOpen {
		return false
	}
	j.sought = true
	j.waiting++ // until all wildcards were looked at
	found := false
	for _, w := range j.wildcards {
		if w != nil && w.ref.since() && w.refusal() == nil {
			w.lost = w.seekNames(l, c, j)
			found = found || w.names != nil
		}
	}
	if !found && j.waiting == 1 {
		j.waiting = 0
		return false
	}
	j.soughtAll(l, c)
	return true
}

// seekNames asks for the names of the rooms of which the wildcard may lack messages, if there can
// be any. The error says why it cannot continue from its positions.
func (w *wildcard) seekNames(l *Loop, c *Conn, j *joining) error {
	low, high := w.watch.Seams()
	since, f := w.ref.Since, w.ref.Pattern.Feed
	switch {
	case w.ref.lost != nil:
		return w.ref.lost
	case f == nil || f.Index() < 0:
		return &rooms.TooOldError{Why: "no topic feeds its rooms"}
	case high.Epoch == "":
		return &rooms.NotNowError{Why: "the gateway has not read the topic of its rooms yet", RetryAfter: time.Second}
	}
	ask := &rooms.Recall{
		Pattern: w.ref.Pattern, Room: w.prefix(), User: l.handler.User(c),
		Epoch: since.Epoch, Lost: since.Foreign(high.Epoch),
		After: make([]rooms.Pos, len(high.Offsets)), UpTo: high.Offsets, Most: w.watch.Most,
	}
	for i, p := range high.Offsets {
		ask.After[i] = rooms.Pos{Partition: p.Partition, Offset: -1} // a partition newer than the client's positions
	}
	for _, o := range since.Offsets {
		i := slices.IndexFunc(ask.After, func(p rooms.Pos) bool { return p.Partition == o.Partition })
		if i >= 0 {
			ask.After[i].Offset = max(o.Offset, -1)
		} else if since.Epoch == high.Epoch { // another node knows it already
			why := fmt.Sprintf("the gateway does not know partition %d of its rooms' topic yet", o.Partition)
			return &rooms.NotNowError{Why: why, RetryAfter: time.Second}
		}
	}
	w.from = &rooms.Positions{Epoch: since.Epoch, Offsets: ask.After}
	if since.Epoch == high.Epoch && slices.Equal(ask.After, low.Offsets) && slices.Equal(ask.After, high.Offsets) {
		return nil // nothing came since
	}
	if names, ok := w.watch.Changed(); ok {
		w.names = names
		return nil
	}
	if l.engine.cfg.Recall == nil {
		return &rooms.TooOldError{Why: ask.Lost}
	}
	ask.Names = func(names []string, err error) {
		l.post(event{kind: evDo, arg: func(l *Loop) { j.soughtNames(l, c, w, names, err) }})
	}
	j.waiting++
	j.recalls = append(j.recalls, ask)
	l.engine.cfg.Recall(ask)
	return nil
}

// soughtNames takes the answer for one wildcard.
func (j *joining) soughtNames(l *Loop, c *Conn, w *wildcard, names []string, err error) {
	w.names, w.lost, w.read = names, err, true
	j.soughtAll(l, c)
}

// soughtAll is called after each answer. After the last one the rooms are joined.
func (j *joining) soughtAll(l *Loop, c *Conn) {
	if j.waiting--; j.waiting > 0 {
		return
	}
	join := &rooms.Join{User: l.handler.User(c)}
	if c.state == stOpen {
		have := j.named(c)
		for _, w := range j.wildcards {
			if w != nil && w.from != nil && w.refusal() == nil && w.lost == nil {
				w.seekRooms(l, join, have)
			}
		}
	}
	join.Done = func(*rooms.Join) {
		l.post(event{kind: evDo, arg: func(l *Loop) { j.goOn(l, c) }})
	}
	l.table.Join(l.listener, join)
}

// seekRooms adds to the join the rooms of which a wildcard lacks messages: those that were found,
// or all if its client comes from a node that was ahead.
func (w *wildcard) seekRooms(l *Loop, join *rooms.Join, have map[string]bool) {
	names := map[string]bool{}
	for _, name := range w.names {
		p, _, _ := l.table.Catalog().Resolve(name)
		names[name] = p == w.ref.Pattern
	}
	w.given = w.watch.Members()
	for i := range w.given {
		if s := &w.given[i]; s.Err == nil && !s.Positions.Cover(w.from.Offsets) {
			names[s.Name] = true
		}
	}
	at := len(join.Rooms)
	for name, ok := range names {
		if _, placed := w.watch.Since[name]; ok && !placed && !have[name] {
			join.Rooms = append(join.Rooms, rooms.Member{Name: name, Pattern: w.ref.Pattern, Since: w.from})
		}
	}
	w.sought, w.soughtAt, w.soughtEnd = join, at, len(join.Rooms)
}

// asked reports whether what a membership lacks lies in the range for which the names were read.
// Then the user has paid for it with the names, and it does not count again for each room.
func (w *wildcard) asked(s *rooms.Member) bool {
	return w != nil && w.read && w.lost == nil && s.Since.Epoch == w.from.Epoch && s.Since.Cover(w.from.Offsets)
}

// mergeSought replaces memberships that start now by those that continue from the wildcard's
// positions. The other rooms lack nothing, or everything if the positions are lost.
func (w *wildcard) mergeSought(l *Loop) {
	if w.given == nil {
		w.given = w.watch.Members()
	}
	if w.from == nil && w.lost == nil {
		return
	}
	var more []rooms.Member
	if w.sought != nil {
		more = w.sought.Rooms[w.soughtAt:w.soughtEnd]
	}
	replaced := map[string]bool{}
	for i := range more {
		replaced[more[i].Name] = true
	}
	w.given = slices.DeleteFunc(w.given, func(s rooms.Member) bool {
		if replaced[s.Name] && s.Err == nil {
			l.table.Leave(s.Sub)
		}
		return replaced[s.Name]
	})
	for i := range w.given {
		s := &w.given[i]
		switch {
		case s.Since != nil || s.Err != nil: // it has positions of its own
		case w.lost != nil:
			s.Since, s.TooOld = w.ref.Since, w.lost
		default:
			s.Since, s.Positions = w.from, s.Positions.Raised(w.from.Epoch, w.from.Offsets)
			s.Resume = &rooms.Resume{Have: s.Positions.Offsets, Until: s.Sub.Room().Head()}
			s.Await = false // the client has the book up to there
		}
	}
	w.given = append(w.given, more...)
	w.sought = nil
	slices.SortFunc(w.given, rooms.ByName)
}

// notNow returns why the wildcard cannot be joined now, or nil. If it were joined without such a
// room, the room would begin with its next record, and the client would lose what came before.
func (w *wildcard) notNow() error {
	var notNow *rooms.NotNowError
	if errors.As(w.lost, &notNow) {
		return w.lost
	}
	for i := range w.given {
		for _, err := range [...]error{w.given[i].Err, w.given[i].TooOld} {
			if errors.As(err, &notNow) {
				return fmt.Errorf("room %q: %w", w.given[i].Name, err)
			}
		}
	}
	return nil
}

// refuseLate refuses the wildcards that cannot be joined now, which is known only when everything
// was given.
func (j *joining) refuseLate(l *Loop) {
	for i, w := range j.wildcards {
		if w == nil {
			continue
		}
		if w.out.Err = w.notNow(); w.out.Err == nil {
			continue
		}
		w.out.Rooms = w.list // so that their reservations are given back
		w.leaveGiven(l, w.out.Err)
		j.wildcards[i] = nil
	}
}

// leaveGiven leaves the rooms of a wildcard that is not joined.
func (w *wildcard) leaveGiven(l *Loop, why error) {
	for k := range w.given {
		if s := &w.given[k]; s.Err == nil {
			l.table.Leave(s.Sub)
			s.Err = why
		}
	}
	w.drop(l)
}

// lateTo returns how a member continues in a room that has appeared, if not at the first frame of
// its tape. If the client comes from a node that was ahead, it has some of the room. If much came
// since, the tape may have dropped some. If the result has no Resume, neither is the case.
func (w *wildcard) lateTo(s *rooms.Member) (ref RoomRef) {
	at := s.Positions
	if w.from != nil && at.Epoch == w.from.Epoch {
		at = at.Raised(w.from.Epoch, w.from.Offsets)
	}
	gone := s.At < s.Sub.Room().Tail() && !s.Pattern.Class.Conflate
	ahead := !s.Positions.Cover(at.Offsets)
	if at.Epoch == "" || !ahead && !gone {
		return ref
	}
	ref.resume = &rooms.Resume{Have: at.Offsets, Until: s.At, Ahead: ahead}
	if gone {
		ref.past = rooms.NoPast(at.Offsets)
	}
	ref.Since = &at
	return ref
}
