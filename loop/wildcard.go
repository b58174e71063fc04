package loop

import (
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

// wildcard is a wildcard of a connection. Its members carry its id.
type wildcard struct {
	conn  *Conn
	ref   *RoomRef
	watch rooms.Watch
	id    uint8 // from 1; 0: the connection does not hold it
	rooms int   // how many rooms it has joined and not left since
	full  bool  // it has come to a limit, and no longer watches
	begun bool  // the appenders watch for it
	taken int   // rooms that have appeared and were joined or refused: see rooms.Watch.Appeared
	// at has the positions up to which the client was sent all matching rooms. Without an epoch
	// they are not known.
	at      rooms.Positions
	refused []string // rooms that existed and could not be joined
	// from is where the client was, in all partitions. Nil: the wildcard starts now.
	from *rooms.Positions

	// Used while the join is under way.
	pending bool
	refs    []RoomRef // by index in given
	given   []rooms.Member
	list    []Joined
	early   []*rooms.Member // memberships of rooms that have appeared meanwhile
	dropped string          // such a room beyond the limit; "": none
	out     *Joined

	// Used while the rooms are searched that it lacks messages of since from.
	names               []string // of rooms with messages since
	read                bool     // the names come from the topic, and its user has paid for them
	lost                error    // why it cannot continue from there
	sought              *rooms.Join
	soughtAt, soughtEnd int // its part of sought.Rooms
}

// wildcard returns the wildcard with that id.
func (c *Conn) wildcard(id uint8) *wildcard {
	i := slices.IndexFunc(c.extras.wildcards, func(w *wildcard) bool { return w.id == id })
	return c.extras.wildcards[i]
}

// wildcardOf returns the wildcard of that name, or nil if there is none.
func (c *Conn) wildcardOf(name string) *wildcard {
	if c.extras == nil || !strings.HasSuffix(name, "*") {
		return nil
	}
	i := slices.IndexFunc(c.extras.wildcards, func(w *wildcard) bool { return w.ref.Name == name })
	if i < 0 {
		return nil
	}
	return c.extras.wildcards[i]
}

func (w *wildcard) prefix() string { return strings.TrimSuffix(w.ref.Name, "*") }

// overlaps reports whether a room could match both wildcards.
func (w *wildcard) overlaps(prefix string) bool {
	return strings.HasPrefix(prefix, w.prefix()) || strings.HasPrefix(w.prefix(), prefix)
}

// askWildcard adds the wildcard of ref i to the join, or returns why it cannot be joined.
func (j *joining) askWildcard(l *Loop, c *Conn, i int) error {
	ref := &j.refs[i]
	held := []*wildcard(nil)
	if c.extras != nil {
		held = c.extras.wildcards
	}
	for _, w := range j.wildcards {
		if w != nil {
			held = append(slices.Clip(held), w)
		}
	}
	prefix := strings.TrimSuffix(ref.Name, "*")
	for _, w := range held {
		if w.ref.Name == ref.Name {
			return ErrAlready
		}
		if w.overlaps(prefix) {
			return fmt.Errorf("the wildcard overlaps with %q: leave that one first, or ask for only one of "+
				"them", w.ref.Name)
		}
	}
	most := min(l.engine.cfg.Wildcards, maxWildcards)
	if ref.Pattern.Bare {
		return ErrBareWildcard
	}
	if len(held) >= most {
		return &LimitError{Name: "wildcards_per_connection", Most: most}
	}
	w := &wildcard{conn: c, ref: ref, pending: true, out: &j.list[i]}
	w.watch = rooms.Watch{Pattern: ref.Pattern, Prefix: prefix, Most: l.engine.cfg.RoomsPerWildcard, Local: w}
	if ref.lost == nil {
		w.watch.From = ref.Since
	}
	if len(ref.SinceByRoom) > 0 {
		w.watch.Since = maps.Clone(ref.SinceByRoom)
		for i := range j.refs { // joined by name, with positions of their own
			delete(w.watch.Since, j.refs[i].Name)
		}
		for i := range c.members {
			delete(w.watch.Since, c.members[i].Room().Name())
		}
	}
	w.begun = true
	l.stats.Wildcards++
	if j.wildcards == nil {
		j.wildcards = make([]*wildcard, len(j.refs))
	}
	j.wildcards[i] = w
	j.join.Watches = append(j.join.Watches, &w.watch)
	return nil
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
	if j.wildcards == nil {
		return
	}
	have := j.named(c)
	for i, w := range j.wildcards {
		if w == nil {
			continue
		}
		w.mergeSought(l)
		w.given = slices.DeleteFunc(w.given, func(s rooms.Member) bool {
			if have[s.Name] && s.Err == nil {
				l.table.Leave(s.Sub)
			}
			return have[s.Name]
		})
		if w.out.Err = w.refuse(l); w.out.Err != nil {
			w.leaveGiven(l, w.out.Err)
			j.wildcards[i] = nil
			continue
		}
		w.collect(l, j)
	}
}

// named returns the rooms that the connection is in or joins by name.
func (j *joining) named(c *Conn) map[string]bool {
	have := make(map[string]bool, len(j.join.Rooms)+len(c.members))
	for i := range j.join.Rooms {
		have[j.join.Rooms[i].Name] = true
	}
	for i := range c.members {
		have[c.members[i].Room().Name()] = true
	}
	return have
}

// collect adds what the appenders gave to a wildcard.
func (w *wildcard) collect(l *Loop, j *joining) {
	w.refs, w.list = make([]RoomRef, len(w.given)), make([]Joined, len(w.given))
	for k := range w.given {
		s := &w.given[k]
		w.refs[k] = *w.ref
		w.refs[k].Since = s.Since
		w.list[k] = Joined{Name: s.Name, Class: s.Pattern.Class.Name}
		j.given = append(j.given, s)
		j.requests = append(j.requests, request{&w.refs[k], &w.list[k], w})
	}
}

// refusal returns why not all matching rooms may be joined.
func (w *wildcard) refusal() error {
	if err := w.watch.Err(); err != nil {
		return err
	}
	if most := w.watch.Most; most > 0 && max(w.watch.Matched(), len(w.names), len(w.given)) > most {
		return &LimitError{Name: "rooms_per_wildcard", Most: most, Asked: -1}
	}
	return nil
}

// refuse is refusal once everything was given, and reserves the rooms.
func (w *wildcard) refuse(l *Loop) error {
	if err := w.refusal(); err != nil {
		return err
	}
	if err := w.notNow(); err != nil {
		return err
	}
	if w.ref.Reserve != nil {
		return w.ref.Reserve(len(w.given))
	}
	return nil
}

// take makes the connection hold the wildcard, which then takes what it was given.
func (w *wildcard) take(l *Loop, c *Conn) {
	e := c.extrasOf()
	for w.id = 1; slices.ContainsFunc(e.wildcards, func(o *wildcard) bool { return o.id == w.id }); {
		w.id++
	}
	e.wildcards = append(e.wildcards, w)
	w.out.Rooms, w.out.Chain = w.list, w.chain()
	w.out.Since, w.out.TooOld = w.ref.since(), w.lost
}

// joined ends the join of a wildcard. The rooms that have appeared meanwhile are joined now.
func (w *wildcard) joined(l *Loop) {
	w.pending = false
	early := w.early
	w.refs, w.given, w.list, w.early, w.out = nil, nil, nil, nil, nil
	w.names, w.lost = nil, nil
	for _, s := range early {
		w.foundOne(l, s)
	}
	if w.dropped != "" && w.id > 0 && !w.full { // not all early rooms were joined
		w.fill(l, w.dropped, &LimitError{Name: "rooms_per_wildcard", Most: w.watch.Most})
	}
}

// chain reports whether the wildcard's members get each message.
func (w *wildcard) chain() bool {
	return !w.ref.Pattern.Class.Conflate && w.ref.Keys == nil && w.ref.Every == 0
}

// beginWildcard begins to leave a wildcard. It joins no more rooms.
func (a *leaving) beginWildcard(l *Loop, c *Conn, out *Joined) {
	a.wildcard.advance(l, c)
	*out = *a.wildcard.describe()
	a.wildcard.full, a.member = true, len(c.members)
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
		if t := &c.members[a.member]; t.Wildcard == w.id {
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
		Name: w.ref.Name, Class: w.ref.Pattern.Class.Name, Positions: w.at,
		Chain: w.chain(), Wildcard: true, Full: w.full, Rooms: []Joined{},
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

// drop ends the wildcard except for its members. It may be nil.
func (w *wildcard) drop(l *Loop) {
	if w == nil || !w.begun {
		return
	}
	w.begun, w.pending, w.id = false, false, 0
	w.endWatch(l)
	l.stats.Wildcards--
	for _, s := range w.early {
		l.table.Leave(s.Sub)
	}
	w.early = nil
}

func (w *wildcard) endWatch(l *Loop) { l.table.Unwatch(&w.watch) }

func sortJoined(list []Joined) {
	slices.SortFunc(list, func(a, b Joined) int { return strings.Compare(a.Name, b.Name) })
}
