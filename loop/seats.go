package loop

import (
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
)

// Errors that Joined carries, besides those of package rooms.
var (
	ErrAlready  = errors.New("the connection is in this room already")
	ErrNotThere = errors.New("the connection is not in this room")
	ErrBareRoom = errors.New("a connection has one room with bare frames at most")
)

// RoomRef names a room to join, with the pattern that its name matched, and
// what the membership is to be like.
type RoomRef struct {
	Name    string
	Pattern *rooms.Pattern
	// Snapshot sends the newest frame of each key first, between snapshot_begin
	// and snapshot_end, where there is any. The pattern's class must remember them.
	Snapshot bool
	// Keys are the only ones wanted; nil: all. Not with bare frames.
	Keys []string
	// Every is the least time between two sends; 0: at once. A room of a conflated
	// class is conflated in between, of others all is sent at once when it is due.
	Every time.Duration
	// Since is where the client was, to go on from there; nil: it begins now.
	// With it there is no snapshot, unless the place is too old.
	Since *rooms.Positions

	// Wild says that Name ends in a star: the rooms of Pattern whose names begin with
	// what is before it are joined, and those that appear later. Not with bare frames.
	Wild bool
	// Places are of a wildcard what Since is of a room, by name; it has no Since.
	// Those rooms are joined even where nothing is known of them.
	Places map[string]rooms.Positions
	// Reserve is asked, on the loop's goroutine, before a wildcard joins n rooms more. An
	// error forbids it: a *LimitError. Nil: nothing does.
	Reserve func(n int) error

	resume *rooms.Resume
	past   *rooms.Past
	await  bool
}

// Joined is the answer for one room of a Join, Leave or List: the place that
// the membership begins, ends or stands at.
type Joined struct {
	Name      string
	Class     string
	Positions rooms.Positions // none while a snapshot is under way: its end brings them
	// Chain says that every break of the chain of `prev` is a loss: the
	// membership gets each message, or a notice.
	Chain bool
	// TooOld says why the client could not go on from where it was, a
	// *rooms.TooOldError. It is in the room all the same if Err is nil: the
	// membership begins now, with a snapshot.
	TooOld error
	// Rooms are those of a wildcard, by name, each with an answer of its own.
	Rooms []Joined
	// Full says of a wildcard that it has come to a limit and joins no more rooms.
	Full bool
	Wild bool
	// Untold is how many rooms of a wildcard are not in Rooms: the client has not been
	// sent the notice of them yet.
	Untold int
	Err    error
}

type joining struct {
	refs  []RoomRef
	reply func([]Joined) []byte
	list  []Joined
	join  rooms.Join
	wilds []*wild // by place in refs; nil: that is no wildcard

	given   []*rooms.Seat // all seats, those of wildcards last; nil: not collected yet
	pasts   []*rooms.Past // by place in given: what was read again
	waiting int           // for so many of them
}

type leaving struct {
	names []string
	reply func([]Joined) []byte
}

// seatsAsked does a request that touches seats, or has it wait for the one
// before it: else an unsubscribe could overtake its subscribe.
func (l *Loop) seatsAsked(e *event) {
	c := e.conn
	if c.state != stOpen {
		return
	}
	if c.side != nil && c.side.joining != nil {
		c.side.later = append(c.side.later, *e)
		return
	}
	switch e.kind {
	case evJoin:
		l.join(c, e.arg.(*joining))
	case evLeave:
		l.leave(c, e.arg.(*leaving))
	case evList:
		l.list(c, e.arg.(*leaving))
	}
}

// join asks the appenders for seats in the rooms that the connection may join.
func (l *Loop) join(c *Conn, j *joining) {
	bare := slices.ContainsFunc(c.seats, func(t seat) bool { return t.sub.Room().Pattern().Bare })
	j.list = make([]Joined, len(j.refs))
	j.join.Rooms = make([]rooms.Seat, 0, len(j.refs))
	for i, ref := range j.refs {
		out := &j.list[i]
		out.Name, out.Class = ref.Name, ref.Pattern.Class.Name
		same := func(r rooms.Seat) bool { return r.Name == ref.Name }
		switch {
		case ref.Wild:
			out.Wild = true
			out.Err = l.askWild(c, j, i)
		case c.find(ref.Name) >= 0 || slices.ContainsFunc(j.join.Rooms, same):
			out.Err = ErrAlready
		case bare && ref.Pattern.Bare:
			out.Err = ErrBareRoom
		default:
			bare = bare || ref.Pattern.Bare
			j.join.Rooms = append(j.join.Rooms, rooms.Seat{Name: ref.Name, Pattern: ref.Pattern, Since: ref.Since})
		}
	}
	j.join.Done = func(*rooms.Join) { l.post(event{kind: evJoined, conn: c, arg: j}) }
	c.sideOf().joining = j
	l.table.Join(l.listener, &j.join)
}

// joined takes the seats that the appenders gave. The reply is queued before
// any frame of theirs can be.
func (l *Loop) joined(c *Conn, j *joining) {
	if j.given == nil {
		l.collect(c, j)
	}
	if c.state != stOpen {
		for _, r := range j.given {
			if r.Err == nil {
				l.table.Leave(r.Sub)
			}
		}
		for _, w := range j.wilds {
			l.dropWild(w)
		}
		return
	}
	if l.recall(c, j) {
		return
	}
	c.seats = slices.Grow(c.seats, len(j.given))
	n := 0 // of given
	take := func(ref *RoomRef, out *Joined) {
		if j.pasts != nil {
			ref.past = j.pasts[n]
		}
		l.take(c, j.given[n], ref, out)
		n++
	}
	for i := range j.list {
		out := &j.list[i]
		switch {
		case out.Wild:
		case out.Err == nil:
			take(&j.refs[i], out)
		default:
			if k := c.find(out.Name); k >= 0 {
				out.Positions = l.positions(c, &c.seats[k])
			}
		}
	}
	for _, w := range j.wilds {
		if w != nil {
			l.takeWild(c, w, take)
		}
	}
	c.side.joining = nil
	l.answer(c, j.reply(j.list))
	for i := range j.list {
		if j.list[i].Wild {
			continue
		}
		if k := c.find(j.list[i].Name); k >= 0 && j.list[i].Err == nil && c.state == stOpen {
			l.seated(c, &c.seats[k], &j.refs[i])
		}
	}
	for _, w := range j.wilds {
		if w != nil {
			l.seatedWild(c, w)
		}
	}
	l.resumeSide(c)
}

// take sits down on a seat that was given, or leaves it where it does not
// begin where the client was.
func (l *Loop) take(c *Conn, given *rooms.Seat, ref *RoomRef, out *Joined) {
	class := given.Pattern.Class
	out.Positions, out.TooOld, out.Err = given.Positions, given.TooOld, given.Err
	if out.Err == nil && out.TooOld != nil && !class.Snapshot {
		l.table.Leave(given.Sub)
		out.Err = out.TooOld
		out.Positions = rooms.Positions{}
	}
	if out.Err != nil {
		return
	}
	l.sit(c, given.Sub, given.At)
	ref.resume, ref.await = given.Resume, given.Await
	ref.Snapshot = ref.Snapshot && given.Keys > 0 && given.Resume == nil || out.TooOld != nil
	out.Chain = !class.Conflate && ref.Keys == nil && ref.Every == 0
	if ref.Snapshot {
		out.Positions = rooms.Positions{}
	}
}

// answer queues what a reply function has made.
func (l *Loop) answer(c *Conn, text []byte) {
	if text != nil && !l.offer(c, rooms.AppendFrame(make([]byte, 0, len(text)+10), rooms.OpText, text)) {
		return
	}
	l.urgent.add(c)
}

// resumeSide does what waited, up to the next request that must be waited for.
func (l *Loop) resumeSide(c *Conn) {
	for c.side != nil && c.side.joining == nil {
		if len(c.side.later) == 0 {
			c.side = nil
			return
		}
		e := c.side.later[0]
		c.side.later = c.side.later[1:]
		l.handle(&e)
	}
}

func (l *Loop) leave(c *Conn, a *leaving) {
	list := make([]Joined, len(a.names))
	for i, name := range a.names {
		out := &list[i]
		out.Name = name
		if w := c.wildOf(name); w != nil {
			l.leaveWild(c, w, out)
			continue
		}
		k := c.find(name)
		if k < 0 {
			out.Err = ErrNotThere
			continue
		}
		*out = l.describe(c, &c.seats[k])
		l.stand(c, k)
	}
	l.answer(c, a.reply(list))
}

func (l *Loop) list(c *Conn, a *leaving) {
	var list []Joined
	for i := range c.seats {
		if c.seats[i].wild == 0 {
			list = append(list, l.describe(c, &c.seats[i]))
		}
	}
	if c.extras != nil {
		for _, w := range c.extras.wilds {
			list = append(list, l.describeWild(c, w))
		}
	}
	sortJoined(list)
	l.answer(c, a.reply(list))
}

func (l *Loop) describe(c *Conn, t *seat) Joined {
	r, x := t.sub.Room(), c.special(t)
	chain := !r.Class().Conflate && (x == nil || !x.sift.Keyed() && x.every == 0)
	return Joined{Name: r.Name(), Class: r.Class().Name, Positions: l.positions(c, t), Chain: chain}
}

// positions is the place up to which the client has its room; none in the
// middle of a snapshot, or of what was read again.
func (l *Loop) positions(c *Conn, t *seat) rooms.Positions {
	x := c.special(t)
	if x != nil && (x.found != nil || x.walk == walkSnapshot || x.past != nil || x.waiting) {
		return rooms.Positions{}
	}
	at := l.table.PositionsAt(t.sub.Room(), t.at)
	if x != nil && x.sift.Have != nil {
		at = at.Raised(x.epoch, x.sift.Have)
	}
	return at
}

// find is the index of the seat in the room; -1: there is none.
func (c *Conn) find(name string) int {
	return slices.IndexFunc(c.seats, func(t seat) bool { return t.sub.Room().Name() == name })
}

// sit gives the connection a seat at the place of its seam.
func (l *Loop) sit(c *Conn, sub *rooms.Sub, at uint64) {
	place := l.enter(c, sub)
	t := seat{sub: sub, at: at, place: place, quiet: true, deflated: c.deflate && sub.Room().Class().Deflate}
	if t.deflated {
		sub.Room().TakeDeflated(1)
	}
	c.seats = append(c.seats, t)
	l.stats.Seats++
}

// stand gives up seat k.
func (l *Loop) stand(c *Conn, k int) {
	l.dropSpecial(c, &c.seats[k])
	t := c.seats[k]
	if t.deflated {
		t.sub.Room().TakeDeflated(-1)
	}
	if t.wild > 0 {
		c.wild(t.wild).rooms--
	}
	last := len(c.seats) - 1
	c.seats[k] = c.seats[last]
	c.seats[last] = seat{}
	c.seats = c.seats[:last]
	l.exit(t)
	l.table.Leave(t.sub)
	l.stats.Seats--
}

func (l *Loop) leaveAll(c *Conn) {
	for len(c.seats) > 0 {
		l.stand(c, len(c.seats)-1)
	}
	if c.extras != nil {
		for _, w := range c.extras.wilds {
			l.dropWild(w)
		}
	}
	c.seats, c.extras = nil, nil
}
