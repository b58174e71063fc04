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
	// Since is where the client was, to go on from there; nil: it begins now. Of a wildcard it
	// stands for all rooms that are not in Places or joined by name.
	// With it there is no snapshot, unless the place is too old.
	Since *rooms.Positions
	// SinceTime is when the client was there, in ms since 1970, instead of Since;
	// 0: it does not say.
	SinceTime int64

	// Wildcard says that Name ends in a star: the rooms of Pattern whose names begin with
	// what is before it are joined, and those that appear later. Not with bare frames.
	Wildcard bool
	// SinceByRoom are of the rooms of a wildcard what Since is of a room, by name.
	// Those rooms are joined even where nothing is known of them.
	SinceByRoom map[string]rooms.Positions
	// Reserve is asked, on the loop's goroutine, before a wildcard joins n rooms more. An
	// error forbids it: a *LimitError. Nil: nothing does.
	Reserve func(n int) error

	resume *rooms.Resume
	past   *rooms.Past
	await  bool
	lost   error       // why the client cannot resume from SinceTime
	missed *member.Gap // nil: nothing
}

// since reports whether the client says where it was.
func (ref *RoomRef) since() bool { return ref.Since != nil || ref.SinceTime != 0 }

// Joined is the answer for one room of a Join, Leave or List: the place that
// the membership begins, ends or stands at.
type Joined struct {
	Name  string
	Class string
	// Positions are none while a snapshot is under way: its end brings them. Those of a
	// wildcard are where all rooms that match stand at least; none while that is not known.
	Positions rooms.Positions
	// Chain says that every break of the chain of `prev` is a loss: the
	// membership gets each message, or a notice.
	Chain bool
	// Partial says that the room may lack last values, since there was no memory for them.
	Partial bool
	// Since reports whether the client said where it was, and TooOld why it could not
	// go on from there, a *rooms.TooOldError or *rooms.NotNowError. It is in the room all
	// the same if Err is nil: the membership begins now, with a `gap` from where it was
	// and, where the class has one, a snapshot. Without TooOld it has what came since.
	Since  bool
	TooOld error
	// Rooms are those of a wildcard, by name, each with an answer of its own.
	Rooms []Joined
	// Full says of a wildcard that it has come to a limit and joins no more rooms.
	Full bool
	Wildcard bool
	// Already says of a Join that the connection was in the room before: nothing has changed,
	// and the answer is how the membership stands. Keys are the only ones it gets (nil: all),
	// and Every the least time between two sends (0: none); both are set with Already alone.
	Already bool
	Keys    []string
	Every   time.Duration
	// Untold is how many rooms of a wildcard are not in Rooms: the client has not been
	// sent the notice of them yet.
	Untold int
	Err    error
}

type joining struct {
	refs      []RoomRef
	reply     func([]Joined) []byte
	list      []Joined
	join      rooms.Join
	wildcards []*wildcard // by place in refs; nil: that is no wildcard

	sought  bool          // what wildcards lack since their places is being found out, or is known
	given   []*rooms.Member // all seats, those of wildcards last; nil: not collected yet
	requests  []request       // of given: what becomes of each
	pasts   []*rooms.Past // by place in given: what was read again
	recalls []*rooms.Recall
	waiting int // for so many of them

	stage stage             // how far joined has come
	had   int               // so many memberships the connection had before
	at    int               // of given, of list, or of the connection's members
	under map[uint8]*Joined // wildcards that the connection had before
}

// request is what one seat that was given is for.
type request struct {
	ref      *RoomRef
	out      *Joined
	wildcard *wildcard // nil: joined by name
}

type leaving struct {
	names []string
	all   bool // a List
	reply func([]Joined) []byte

	begun    bool
	list     []Joined
	at       int               // of names, or of the connection's members
	wildcard *wildcard         // that is being left; nil: none
	member   int               // the next one that may be of it
	under    map[uint8]*Joined // List: by wildcard
}

// stepRooms is how many rooms one step of a request goes through: some 0.1 to 0.3 ms
// (BenchmarkToggle), of a slice of 0.5 ms. Between two steps others have their turn.
const stepRooms = 128

// membersAsked does a request that touches members, or has it wait for the one
// before it: else an unsubscribe could overtake its subscribe.
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

// goOn has a request that takes long go on when others have had their turn. Until it is done
// nothing is cut from the connection's rooms, or frames could overtake its reply.
func (l *Loop) goOn(c *Conn, k kind, arg any) {
	c.flags |= fHeld
	l.post(event{kind: k, conn: c, arg: arg})
}

// answer queues what a reply function has made. It is not urgent: behind the reply
// there may be much to catch up with, and storms bring many who have.
func (l *Loop) answer(c *Conn, text []byte) {
	if text != nil && !l.life.offer(c, wire.TextFrame(text)) {
		return
	}
	l.ready.add(c)
}

// resumeSide does what waited, up to the next request that must be waited for.
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

// goOn goes on with a Leave or List, one step of it.
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

// leaveSome leaves some of the rooms; false: there are more.
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

// listSome describes some of the rooms that the connection is in; false: there are more.
// Rooms that a wildcard joins meanwhile are told of too: they are behind the others.
func (a *leaving) listSome(l *Loop, c *Conn) bool {
	if !a.begun && c.extras != nil {
		a.under = map[uint8]*Joined{}
		for _, w := range c.extras.wildcards {
			w.advance(l, c)
			a.under[w.id] = w.describe()
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
	m := member.New(sub, at, c.deflate && sub.Room().Class().Deflate)
	m.Index = attend(c, sub)
	if m.Deflated() {
		sub.Room().TakeDeflated(1)
	}
	l.stats.Members++
	return c.addMember(m)
}

// exit ends membership k.
func (c *Conn) exit(k int) {
	l := c.loop
	m := c.dropMember(k)
	if x := c.extra(&m); x != nil {
		l.rules.End(x)
		c.setExtra(&m, nil)
	}
	if m.Deflated() {
		m.Room().TakeDeflated(-1)
	}
	if m.Wildcard > 0 {
		c.wildcard(m.Wildcard).rooms--
	}
	unattend(&m)
	l.table.Leave(m.Sub())
	l.stats.Members--
}

func (c *Conn) leaveAll() {
	l := c.loop
	if c.extras != nil {
		c.extras.index = nil // of no use to a connection that leaves from the end
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
}
