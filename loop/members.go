package loop

import (
	"errors"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// Errors that Joined carries, besides those of package rooms.
var (
	ErrAlready  = errors.New("the connection is in this room already")
	ErrNotThere = errors.New("the connection is not in this room")
	ErrBareRoom = errors.New("a connection may be in one room with bare frames only")
)

// RoomRef names a room to join, with the pattern that its name matched, and says what the
// membership must be like.
type RoomRef struct {
	Name    string
	Pattern *rooms.Pattern
	// Snapshot sends the newest frame of each key first, between snapshot_begin and snapshot_end,
	// if there is any. The pattern's class must keep them.
	Snapshot bool
	// Keys are the wanted keys. Nil: all. They must be nil for bare frames.
	Keys []string
	// Every is the least time between two sends. Zero sends at once. In a conflated class only the
	// newest frame of each key is sent then, in other classes every frame.
	Every time.Duration
	// Since is where the client was, and where the membership continues. Nil: it starts now. For a
	// wildcard it applies to all rooms that are not in SinceByRoom or joined by name. With it there
	// is no snapshot, unless the positions are too old.
	Since *rooms.Positions
	// SinceTime is given instead of Since: the time at which the client was there, in ms since
	// 1970. Zero: not given.
	SinceTime int64

	// Wildcard says that Name ends in a star. The rooms of Pattern whose names begin with the text
	// before the star are joined, and those that appear later. It must not be set for bare frames.
	Wildcard bool
	// SinceByRoom is Since for single rooms of a wildcard, by name. These rooms are joined even if
	// this node does not know them.
	SinceByRoom map[string]rooms.Positions
	// Wildcards is how many wildcards the connection may hold. Zero means Config.Wildcards.
	Wildcards int
	// MostRooms is how many rooms the wildcard may join. Zero means Config.RoomsPerWildcard, and less
	// any number.
	MostRooms int
	// Reserve is called, on the loop's goroutine, before a wildcard joins n more rooms. An error, a
	// *LimitError, forbids the join. Nil: nothing forbids it.
	Reserve func(n int) error

	lost error // why the client cannot resume from SinceTime
}

// Joined is the answer for one room of a Join, Leave or List: where the membership begins, ends or
// stands.
type Joined struct {
	Name  string
	Class string
	// Positions are empty while a snapshot is under way: its end brings them. Those of a wildcard
	// are a lower bound of its rooms' positions, and empty while that is not known.
	Positions rooms.Positions
	// Chain says that every break in the chain of `prev` is a loss: the member gets each message,
	// or a notice.
	Chain bool
	// Partial says that the room may lack last values, since there was too little memory.
	Partial bool
	// Since says that the client gave positions or a time. TooOld says why the member could not
	// continue from there, a *rooms.TooOldError or *rooms.NotNowError. If Err is nil, the
	// connection is in the room in any case. With TooOld the membership starts now, with a `gap`
	// from where the client was and, if the class has one, a snapshot. Without TooOld the member
	// gets everything since.
	Since  bool
	TooOld error
	// Rooms are the rooms of a wildcard, by name, each with an answer of its own.
	Rooms []Joined
	// Full says that a wildcard has come to a limit and joins no more rooms.
	Full     bool
	Wildcard bool
	// Already says that the connection was in the room before the Join. Nothing has changed, and
	// the answer describes the membership. Keys are the wanted keys (nil: all), and Every is the
	// least time between two sends (0: none). Both are set only with Already.
	Already bool
	Keys    []string
	Every   time.Duration
	// Untold is how many rooms of a wildcard are not in Rooms, because the client has not been sent
	// their notices yet.
	Untold int
	Err    error
}

type joining struct {
	refs      []RoomRef
	reply     func([]Joined) []byte
	list      []Joined
	join      rooms.Join
	asked     map[string]bool // rooms that are joined by name
	wildcards []*wildcard     // in the order of refs

	sought   bool            // the search for what resumed wildcards lack has begun
	again    []rooms.Member  // what it found, by wildcard
	given    []*rooms.Member // what the appenders gave, of wildcards last; nil: not collected yet
	requests []request       // by index in given: what each was asked by
	pasts    []*rooms.Past   // by index in given: what was read again
	recalls  []*rooms.Recall
	recallAt int // index in given: what is looked at next
	waiting  int // how many answers are missing

	stage stage             // how far the join has come
	had   int               // how many memberships the connection had before
	at    int               // index in given, list or the connection's members
	under map[uint8]*Joined // wildcards that the connection had before, by id
}

// request says what one given membership was asked by.
type request struct {
	ref      *RoomRef
	out      *Joined
	wildcard *wildcard // nil: joined by name
	wish     member.Wish
}

type leaving struct {
	names []string
	all   bool // a List
	reply func([]Joined) []byte

	begun    bool
	list     []Joined
	at       int               // index in names or the connection's members
	wildcard *wildcard         // the one being left; nil: none
	member   int               // index of the next member that may belong to it
	under    map[uint8]*Joined // List: by wildcard
}

// stepRooms is how many rooms one step of a request goes through: about 0.1 to 0.3 ms
// (BenchmarkToggle), of a slice of 0.5 ms. Other work gets its turn between two steps.
const stepRooms = 128

// membersAsked handles a request that touches members. It waits for the one before it, or an
// unsubscribe could overtake its subscribe.
func (l *Loop) membersAsked(e *event) {
	c := e.conn
	if c.state != stOpen {
		return
	}
	if c.side != nil && c.side.busy() {
		c.side.later = append(c.side.later, *e)
		return
	}
	if e.kind == evJoin {
		e.arg.(*joining).begin(l, c)
		return
	}
	c.sideOf().leaving = e.arg.(*leaving)
	e.arg.(*leaving).goOn(l, c)
}

// goOn continues a long request after other work had its turn. Until the request is done nothing is
// cut from the connection's rooms, or frames could overtake its reply.
func (l *Loop) goOn(c *Conn, k kind, arg any) {
	c.flags |= fHeld
	l.post(event{kind: k, conn: c, arg: arg})
}

// answer queues a reply. It is not urgent: there may be much to catch up with after the reply, and
// storms bring many such clients.
func (l *Loop) answer(c *Conn, text []byte) {
	if text != nil && !l.life.offer(c, wire.TextFrame(text)) {
		return
	}
	l.ready.add(c)
}

// resumeSide handles the requests that waited, up to the next one that takes an appender's answer.
func (l *Loop) resumeSide(c *Conn) {
	for c.side != nil && !c.side.busy() {
		if len(c.side.later) == 0 {
			c.side = nil
			return
		}
		e := c.side.later[0]
		c.side.later[0] = event{}
		c.side.later = c.side.later[1:]
		l.handle(&e)
	}
}

// goOn does one step of a Leave or List.
func (a *leaving) goOn(l *Loop, c *Conn) {
	if c.state != stOpen {
		return
	}
	some := a.leaveSome
	if a.all {
		some = a.listSome
	}
	if !some(l, c) {
		l.goOn(c, evLeaveOn, a)
		return
	}
	c.flags &^= fHeld
	c.side.leaving = nil
	l.answer(c, a.reply(a.list))
	l.resumeSide(c)
}

// leaveSome leaves some of the rooms. It returns false if there are more.
func (a *leaving) leaveSome(l *Loop, c *Conn) bool {
	if a.list == nil {
		a.list = make([]Joined, len(a.names))
	}
	for n := stepRooms; a.at < len(a.names); a.at++ {
		if n--; n < 0 {
			return false
		}
		out := &a.list[a.at]
		if a.wildcard == nil {
			if a.wildcard = c.wildcardOf(a.names[a.at]); a.wildcard != nil {
				a.beginWildcard(l, c, out)
			}
		}
		if a.wildcard != nil {
			if n = a.leaveWildcard(l, c, out, n); n < 0 {
				return false
			}
			continue
		}
		out.Name = a.names[a.at]
		k := c.find(out.Name)
		if k < 0 {
			out.Err = ErrNotThere
			continue
		}
		*out = c.describe(&c.members[k])
		c.exit(k)
	}
	return true
}

// listSome describes some of the rooms that the connection is in. It returns false if there are
// more. Rooms that a wildcard joins meanwhile are listed too, since they come after the others.
func (a *leaving) listSome(l *Loop, c *Conn) bool {
	if !a.begun && c.extras != nil {
		a.under = map[uint8]*Joined{}
		for _, w := range c.extras.wildcards {
			w.advance(l)
			a.under[w.ID] = w.describe()
		}
	}
	a.begun = true
	for n := stepRooms; a.at < len(c.members); a.at++ {
		if n--; n < 0 {
			return false
		}
		if t := &c.members[a.at]; t.Wildcard == 0 {
			a.list = append(a.list, c.describe(t))
		} else {
			c.describeUnder(t, a.under[t.Wildcard])
		}
	}
	for _, out := range a.under {
		sortJoined(out.Rooms)
		a.list = append(a.list, *out)
	}
	sortJoined(a.list)
	return true
}

func (c *Conn) describe(m *member.Member) Joined {
	l := c.loop
	r, x := m.Room(), c.extra(m)
	return Joined{Name: r.Name(), Class: r.Class().Name, Positions: l.rules.Position(m, x), Chain: m.Chain(x)}
}

// enter makes the connection a member of the room, from frame number at on.
func (c *Conn) enter(sub *rooms.Sub, at uint64) *member.Member {
	l := c.loop
	m := member.New(sub, at, c.codingIn(sub.Room().Class()))
	m.Index = attend(c, sub)
	if how := m.Coding(); how != rooms.Plain {
		sub.Room().Take(how, 1)
	}
	l.stats.Members++
	return c.addMember(m)
}

// codingIn returns the form in which the connection takes the frames of rooms of a class. Events with ids
// are its own, and so are those of private rooms.
func (c *Conn) codingIn(class *rooms.Class) rooms.Coding {
	switch {
	case c.stream == streamPlain && !class.Private():
		return rooms.AsEvents
	case c.deflate && class.Deflate:
		return rooms.Deflated
	}
	return rooms.Plain
}

// exit ends membership k.
func (c *Conn) exit(k int) {
	l := c.loop
	m := c.dropMember(k)
	if x := c.extra(&m); x != nil {
		l.rules.End(x)
		c.setExtra(&m, nil)
	}
	if how := m.Coding(); how != rooms.Plain {
		m.Room().Take(how, -1)
	}
	if m.Wildcard > 0 {
		c.wildcard(m.Wildcard).Rooms--
	}
	unattend(&m)
	l.table.Leave(m.Sub())
	l.stats.Members--
}

func (c *Conn) leaveAll() {
	l := c.loop
	if c.extras != nil {
		c.extras.index = nil // leaving from the end needs no index
	}
	for len(c.members) > 0 {
		c.exit(len(c.members) - 1)
	}
	if c.extras != nil {
		for _, w := range c.extras.wildcards {
			w.drop(l)
		}
	}
	c.members, c.extras = nil, nil
	c.unmeter()
}
