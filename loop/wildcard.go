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

// maxWildcards is how many wildcards a connection may hold at all: their ids are a byte.
const maxWildcards = 255

// ErrBareWildcard is the answer to a wildcard of rooms with bare frames.
var ErrBareWildcard = errors.New("rooms with bare frames cannot be joined by a wildcard: name one room")

// LimitError says which limit forbids what was asked.
type LimitError struct {
	Name  string // as it is configured
	Most  int
	Asked int // how much it would take; 0: one more; less than 0: more than Most, nobody counted
}

func (e *LimitError) Error() string {
	switch {
	case e.Asked < 0:
		return fmt.Sprintf("it takes more rooms than %s, which is %d: ask for fewer by a longer name before the star", e.Name, e.Most)
	case e.Asked > 0:
		return fmt.Sprintf("it takes %d rooms, and %s is %d: ask for fewer by a longer name before the star", e.Asked, e.Name, e.Most)
	}
	return fmt.Sprintf("%s is %d", e.Name, e.Most)
}

// wildcard is a wildcard of a connection. The members that it has joined carry its id.
type wildcard struct {
	conn  *Conn
	ref   *RoomRef
	watch rooms.Watch
	id    uint8 // from 1; 0: the connection does not hold it, or no more
	rooms int   // that it has joined and that were not left since
	full  bool  // it has come to a limit, and watches no more
	begun bool  // the appenders watch for it
	taken int   // rooms that have appeared and were taken or refused: see rooms.Watch.Appeared
	// at is the place up to which the client was sent all that match, as far as is known.
	// Without an epoch it is not.
	at      rooms.Positions
	refused []string // rooms that were there and could not be joined
	// from is where the client was, of all partitions; nil: it begins now.
	from *rooms.Positions

	// While the join is under way.
	pending bool
	refs    []RoomRef // of given
	given   []rooms.Member
	list    []Joined
	early   []*rooms.Member // rooms that have appeared meanwhile
	dropped string        // one of them that was too many; "": there was none
	out     *Joined

	// While it is found out what it lacks since from.
	names               []string // of rooms that have something of it
	read                bool     // they are of the topic, for which its user has paid
	lost                error    // why it cannot go on from there
	sought              *rooms.Join
	soughtAt, soughtEnd int // of sought.Rooms, which are its
}

// wildcard is the wildcard with that id.
func (c *Conn) wildcard(id uint8) *wildcard {
	i := slices.IndexFunc(c.extras.wildcards, func(w *wildcard) bool { return w.id == id })
	return c.extras.wildcards[i]
}

// wildcardOf is the wildcard of that name; nil: there is none.
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

// overlaps says whether a room could be of both wildcards.
func (w *wildcard) overlaps(prefix string) bool {
	return strings.HasPrefix(prefix, w.prefix()) || strings.HasPrefix(w.prefix(), prefix)
}

// askWildcard puts the wildcard of ref i into the join, or says why it cannot be.
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
			return fmt.Errorf("its rooms and those of %q overlap: leave that first, or ask for one of the two", w.ref.Name)
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
		for i := range j.refs { // joined by name, with a place of their own
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

// collect makes one list of all seats that the appenders gave, after those of
// wildcards that may not be, or that the connection has already, were left.
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

// named are the rooms that the connection is in or joins by name.
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

// collect adds the seats of a wildcard.
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

// refusal says why the rooms that there are may not all be joined.
func (w *wildcard) refusal() error {
	if err := w.watch.Err(); err != nil {
		return err
	}
	if most := w.watch.Most; most > 0 && max(w.watch.Matched(), len(w.names), len(w.given)) > most {
		return &LimitError{Name: "rooms_per_wildcard", Most: most, Asked: -1}
	}
	return nil
}

// refuse is refusal once all seats are known, and reserves places for them.
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

// take has the connection hold a wildcard, whose seats it then takes.
func (w *wildcard) take(l *Loop, c *Conn) {
	e := c.extrasOf()
	for w.id = 1; slices.ContainsFunc(e.wildcards, func(o *wildcard) bool { return o.id == w.id }); {
		w.id++
	}
	e.wildcards = append(e.wildcards, w)
	w.out.Rooms, w.out.Chain = w.list, w.chain()
	w.out.Since, w.out.TooOld = w.ref.since(), w.lost
}

// joined ends the join of a wildcard: now come the rooms that have appeared meanwhile.
func (w *wildcard) joined(l *Loop) {
	w.pending = false
	early := w.early
	w.refs, w.given, w.list, w.early, w.out = nil, nil, nil, nil, nil
	w.names, w.lost = nil, nil
	for _, s := range early {
		w.foundOne(l, s)
	}
	if w.dropped != "" && w.id > 0 && !w.full { // some of early were none of its
		w.fill(l, w.dropped, &LimitError{Name: "rooms_per_wildcard", Most: w.watch.Most})
	}
}

// chain says whether the wildcard's memberships get each message.
func (w *wildcard) chain() bool {
	return !w.ref.Pattern.Class.Conflate && w.ref.Keys == nil && w.ref.Every == 0
}

// beginWildcard begins to give a wildcard up. It joins no more rooms.
func (a *leaving) beginWildcard(l *Loop, c *Conn, out *Joined) {
	a.wildcard.advance(l, c)
	*out = *a.wildcard.describe()
	a.wildcard.full, a.member = true, len(c.members)
}

// leaveWildcard leaves up to n of the rooms that a wildcard has joined, and returns how many of n
// are left; less than 0: there are more rooms.
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

// describe is the answer for a wildcard that the connection holds, yet without its rooms.
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

// drop ends what is left of a wildcard but for its members; nil: nothing.
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
