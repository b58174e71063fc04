package loop

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// maxWildcards is the most wildcards that a connection may hold: their ids are a byte.
const maxWildcards = 255

// ErrBareWildcard answers a wildcard for rooms with bare frames.
var ErrBareWildcard = errors.New("rooms with bare frames cannot be joined by a wildcard: name one room")

// LimitError names the limit that forbids a request.
type LimitError struct {
	Name  string // its configuration key
	Most  int
	Asked int // how many rooms it would take; 0: one more; less than 0: more than Most, not counted
}

func (e *LimitError) Error() string {
	switch {
	case e.Asked < 0:
		return fmt.Sprintf("the wildcard has more rooms than %s, which is %d: write more of the name before the "+
			"star", e.Name, e.Most)
	case e.Asked > 0:
		return fmt.Sprintf("the wildcard has %d rooms, but %s is %d: write more of the name before the star",
			e.Asked, e.Name, e.Most)
	}
	return fmt.Sprintf("%s is %d", e.Name, e.Most)
}

// wildcard is a wildcard of a connection. Package member has its rules.
type wildcard struct {
	member.Wildcard
	conn    *Conn
	reserve func(n int) error // see RoomRef.Reserve
	begun   bool              // the appenders watch for it

	// While its join is under way:
	index   int // in joining.refs and list
	pending bool
	again   int             // how many of joining.again are its own
	early   []*rooms.Member // memberships of rooms that have appeared meanwhile
	dropped string          // such a room beyond the limit; "": none
}

// wildcard returns the wildcard with that id.
func (c *Conn) wildcard(id uint8) *wildcard {
	i := slices.IndexFunc(c.extras.wildcards, func(w *wildcard) bool { return w.ID == id })
	return c.extras.wildcards[i]
}

// wildcardOf returns the wildcard of that name, or nil if there is none.
func (c *Conn) wildcardOf(name string) *wildcard {
	if c.extras != nil {
		for _, w := range c.extras.wildcards {
			if w.Name == name {
				return w
			}
		}
	}
	return nil
}

// askWildcard adds the wildcard of ref i to the join, or returns why it cannot be joined.
func (j *joining) askWildcard(l *Loop, c *Conn, i int) error {
	ref := &j.refs[i]
	w := &wildcard{conn: c, reserve: ref.Reserve, index: i, pending: true, begun: true, Wildcard: member.Wildcard{
		Name: ref.Name, Keys: ref.Keys, Every: ref.Every, Lost: ref.lost,
		Watch: rooms.Watch{
			Pattern: ref.Pattern, Prefix: strings.TrimSuffix(ref.Name, "*"), From: ref.Since,
			Most: max(0, cmp.Or(ref.MostRooms, l.engine.cfg.RoomsPerWildcard)),
		},
	}}
	w.Watch.Local = w
	held := j.wildcards
	if c.extras != nil {
		held = slices.Concat(c.extras.wildcards, held)
	}
	for _, o := range held {
		if o.Name == w.Name {
			return ErrAlready
		}
		if o.Overlaps(&w.Wildcard) {
			return fmt.Errorf("the wildcard overlaps with %q: leave that one first, or ask for only one of "+
				"them", o.Name)
		}
	}
	if ref.Pattern.Bare {
		return ErrBareWildcard
	}
	if most := min(cmp.Or(ref.Wildcards, l.engine.cfg.Wildcards), maxWildcards); len(held) >= most {
		return &LimitError{Name: "wildcards_per_connection", Most: most}
	}
	if len(ref.SinceByRoom) > 0 {
		w.Watch.Since = maps.Clone(ref.SinceByRoom)
		for i := range j.refs { // joined by name, with positions of their own
			delete(w.Watch.Since, j.refs[i].Name)
		}
		for i := range c.members {
			delete(w.Watch.Since, c.members[i].Room().Name())
		}
	}
	l.stats.Wildcards++
	j.wildcards = append(j.wildcards, w)
	j.join.Watches = append(j.join.Watches, &w.Watch)
	return nil
}

// limit returns the error for more rooms than the wildcard may join: that many, as in LimitError.
func (w *wildcard) limit(asked int) error {
	return &LimitError{Name: "rooms_per_wildcard", Most: w.Watch.Most, Asked: asked}
}

// refusal returns why the wildcard cannot be joined, once everything was given. Without an error it
// has reserved the rooms.
func (w *wildcard) refusal() error {
	if w.TooMany() {
		return w.limit(-1)
	}
	if err := w.NotNow(); err != nil || w.reserve == nil {
		return err
	}
	return w.reserve(len(w.Given))
}

// refuseLate refuses the wildcards that cannot be joined now, which is known only when everything
// was given. Their answers keep the rooms, so that the reservations are given back.
func (j *joining) refuseLate(l *Loop) {
	j.wildcards = slices.DeleteFunc(j.wildcards, func(w *wildcard) bool {
		err := w.NotNow()
		if err != nil {
			j.refuse(l, w, err)
		}
		return err != nil
	})
}

// refuse ends a wildcard that is not joined, and leaves the rooms that were given.
func (j *joining) refuse(l *Loop, w *wildcard, why error) {
	j.list[w.index].Err = why
	for k := range w.Given {
		if s := &w.Given[k]; s.Err == nil {
			l.table.Leave(s.Sub)
			s.Err = why
		}
	}
	w.drop(l)
}

// takeWildcards makes the connection hold the wildcards, which then take what they were given.
func (j *joining) takeWildcards(c *Conn) {
	for _, w := range j.wildcards {
		e, ref, out := c.extrasOf(), &j.refs[w.index], &j.list[w.index]
		for w.ID = 1; slices.ContainsFunc(e.wildcards, func(o *wildcard) bool { return o.ID == w.ID }); {
			w.ID++
		}
		e.wildcards = append(e.wildcards, w)
		out.Chain, out.Since, out.TooOld = w.Chain(), ref.Since != nil || ref.SinceTime != 0, w.Lost
	}
}

// settle sets the first positions of the wildcards that were joined. None of their rooms starts, or
// stands, before them.
func (j *joining) settle(l *Loop, c *Conn) {
	for _, w := range j.wildcards {
		out := &j.list[w.index]
		for i := range out.Rooms {
			x := &out.Rooms[i]
			w.Joined(x.Name, x.Positions, x.Err)
		}
		for i := range j.list { // joined by name, with positions of their own
			x := &j.list[i]
			if !x.Wildcard && w.Matches(j.refs[i].Pattern, x.Name) && !errors.Is(x.Err, ErrAlready) {
				w.Joined(x.Name, x.Positions, x.Err)
			}
		}
		l.rules.Settle(&w.Wildcard, c.members[:j.had], c.extras.members)
		out.Positions = w.At
	}
}

// joined ends the join of a wildcard. The rooms that have appeared meanwhile are joined now.
func (w *wildcard) joined(l *Loop) {
	w.pending = false
	early := w.early
	w.early = nil
	for _, s := range early {
		w.foundOne(l, s)
	}
	if w.dropped != "" && w.ID > 0 && !w.Full { // not all early rooms were joined
		w.fill(l, w.dropped, w.limit(0))
	}
}

// advance moves the wildcard's positions to where its rooms stand now, unless its join is under way.
func (w *wildcard) advance(l *Loop) {
	if !w.pending {
		l.rules.Advance(&w.Wildcard, w.conn.members, w.conn.extras.members)
	}
}

// beginWildcard begins to leave a wildcard. It joins no more rooms.
func (a *leaving) beginWildcard(l *Loop, c *Conn, out *Joined) {
	a.wildcard.advance(l)
	*out = *a.wildcard.describe()
	a.wildcard.Full, a.member = true, len(c.members)
}

// leaveWildcard leaves up to n of the rooms that a wildcard has joined. It returns how many of n
// are left, or less than 0 if there are more rooms.
func (a *leaving) leaveWildcard(l *Loop, c *Conn, out *Joined, n int) int {
	w := a.wildcard
	for a.member = min(a.member, len(c.members)); a.member > 0; {
		if n < 0 {
			return n
		}
		a.member--
		if t := &c.members[a.member]; t.Wildcard == w.ID {
			c.describeUnder(t, out)
			c.exit(a.member)
			n--
		}
	}
	sortJoined(out.Rooms)
	w.drop(l)
	c.extras.wildcards = slices.DeleteFunc(c.extras.wildcards, func(o *wildcard) bool { return o == w })
	c.tidy()
	a.wildcard = nil
	return max(n, 0)
}

// describe returns the answer for a wildcard that the connection holds, without its rooms.
func (w *wildcard) describe() *Joined {
	return &Joined{
		Name: w.Name, Class: w.Watch.Pattern.Class.Name, Positions: w.At,
		Chain: w.Chain(), Wildcard: true, Full: w.Full, Rooms: []Joined{},
	}
}

// describeUnder adds a room to the answer for its wildcard.
func (c *Conn) describeUnder(t *member.Member, out *Joined) {
	if x := c.extra(t); x != nil && x.Untold() {
		out.Untold++
		return
	}
	out.Rooms = append(out.Rooms, c.describe(t))
}

// drop ends the wildcard except for its members.
func (w *wildcard) drop(l *Loop) {
	if !w.begun {
		return
	}
	w.begun, w.pending, w.ID = false, false, 0
	l.table.Unwatch(&w.Watch)
	l.stats.Wildcards--
	for _, s := range w.early {
		l.table.Leave(s.Sub)
	}
	w.early = nil
}

func sortJoined(list []Joined) {
	slices.SortFunc(list, func(a, b Joined) int { return strings.Compare(a.Name, b.Name) })
}
