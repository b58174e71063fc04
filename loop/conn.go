package loop

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop/member"
	"tapecast/loop/netpoll"
	"tapecast/loop/tlsconn"
	"tapecast/loop/upgrade"
	"tapecast/loop/wsread"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// input says what a connection's input is now. It grows as the client becomes known.
type input uint8

const (
	inRequest input = iota // an upgrade request
	inHeader               // a PROXY protocol header, then the request
	inJudged               // the handler has seen the request
)

// askedPart is an incomplete request or PROXY header.
type askedPart struct {
	text []byte
	scan upgrade.Scan
}

// signs are flags of a connection that any goroutine may read.
type signs struct{ bits atomic.Uint32 }

const (
	signDeaf          = 1 << iota // the conversation has ended: input is discarded
	signJudging                   // the handler's Open is running
	signAuthenticated             // messages may have their full length
	signSession                   // the handler has set the session
	signJudged                    // the handler's Open has been called
)

func (s *signs) deaf() bool          { return s.bits.Load()&signDeaf != 0 }
func (s *signs) judging() bool       { return s.bits.Load()&signJudging != 0 }
func (s *signs) authenticated() bool { return s.bits.Load()&signAuthenticated != 0 }

// setDeaf sets the flag and reports whether it was set before.
func (s *signs) setDeaf() bool { return s.bits.Or(signDeaf)&signDeaf != 0 }

// state is where a connection is in its life. It only ever grows.
type state uint8

const (
	stNew     state = iota // the upgrade has not been answered
	stOpen                 // frames flow
	stClosing              // a close frame waits to be sent, or has been
	stGone                 // nothing may be sent any more
)

// Conn is one client. It belongs to one Loop. Only that loop's goroutine touches its members and
// sends, and only the poller touches its reader. All others use the exported methods, which post to
// the loop's inbox.
//
// A node has hundreds of thousands of them. So state that only a busy connection needs is behind
// out and side, and the struct is kept small (TestSizes).
type Conn struct {
	loop    *Loop
	id      uint64
	session any
	sock    netpoll.Socket // its lock guards pongs, too
	signs   signs

	// The poller's.
	earned    tick          // when paid was last reduced
	secure    *tlsconn.Conn // nil: plain
	reader    wsread.Reader
	asked     *askedPart // a request, or PROXY header, that is not complete
	pongs     *[]byte    // pongs that the loop has not taken
	input     input      // what the input begins with
	reading   bool       // the upgrade was granted: input is frames
	deflate   bool       // permessage-deflate was agreed on; does not change once reading is set
	stream    streaming  // it reads events; does not change once the upgrade is answered
	discarded uint32     // bytes read since it is deaf
	paid      uint32     // frames held against the pace, as of earned
	unhandled uint16     // input since the loop last caught up: see maxUnhandled

	// The loop's.
	slot     int16 // in the wheel; -1: none
	state    state
	standing standing // guarded by gate.mu
	flags    flags
	code     uint16 // the close code
	port     uint16 // remote
	addr     [16]byte
	index    uint32 // in life.conns
	heard    atomic.Uint32
	pingAt   tick // next ping; 0: none
	timerAt  tick // as the handler set it; 0: none
	pinged   tick // when the first unanswered ping was sent; 0: none
	deadline tick // of the handshake, the answer to that ping, or the close; 0: none
	prev     *Conn
	next     *Conn
	members  []member.Member
	out      *outbox // what waits to be sent besides frames of rooms; nil: nothing
	side     *side   // what waits for an appender's answer; nil: nothing
	extras   *extras // state that few connections need; nil: none
}

type flags uint16

const (
	fAuthenticated flags = 1 << iota
	fPositions           // its pings are `positions`
	fBlocked             // the kernel took less than it was given: wait for writability
	fPolled              // known to the loop's epoll set
	fUrgent              // in loop.urgent
	fOwed                // in loop.owed
	fReady               // in loop.ready
	fSent                // something was sent since the last ping
	fEnding              // the write side is shut
	fJudged              // the handler's Open has seen it, so Closed must
	fHeld                // it joins or leaves rooms in steps: nothing is cut from its rooms meanwhile
	fTimeOfDay           // its timer goes by the wall clock
	fMetered             // it has a meter
	fResting             // it was sent too much: nothing is cut from its rooms until the meter's time
	fBehind              // what it is sent of rooms comes late since it has rested
)

func (c *Conn) is(f flags) bool { return c.flags&f != 0 }

// extras is state that few connections need, and most of them only for a moment.
type extras struct {
	members   map[*rooms.Sub]*member.Extra // of members that have one
	wildcards []*wildcard
	index     map[string]int32 // members by room, if there are many
	meter     *meter           // of what it is sent; nil: there is no limit
	reading   bool             // one of its members has its next part read, and the others wait
}

func (c *Conn) extrasOf() *extras {
	if c.extras == nil {
		c.extras = new(extras)
	}
	return c.extras
}

// tidy frees extras that are empty.
func (c *Conn) tidy() {
	if x := c.extras; x != nil && len(x.members) == 0 && len(x.wildcards) == 0 && x.index == nil && x.meter == nil {
		c.extras = nil
	}
}

// side holds requests of a connection while an appender answers. A request that touches members
// waits for the one before it.
type side struct {
	joining *joining // the Join under way
	leaving *leaving // the Leave or List under way
	later   []event
}

// busy reports whether a request is under way.
func (s *side) busy() bool { return s.joining != nil || s.leaving != nil }

// dropSide forgets the connection's requests.
func (c *Conn) dropSide() {
	if c.side != nil && c.side.joining != nil {
		for _, r := range c.side.joining.recalls {
			r.Drop() // nobody waits for what the join has asked for
		}
	}
	c.side = nil
}

// ID returns the connection's number, which is unique in the process.
func (c *Conn) ID() uint64 { return c.id }

// Remote returns the client's address.
func (c *Conn) Remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

// Session returns the state that the handler has attached in Open.
func (c *Conn) Session() any { return c.session }

// SetSession attaches the handler's state. Only Open may call it.
func (c *Conn) SetSession(s any) {
	c.session = s
	c.signs.bits.Or(signSession) // from now on Engine.Each sees it
}

// SendText sends a copy of p as one text message.
func (c *Conn) SendText(p []byte) { c.Send(wire.OpText, p) }

// Send sends a copy of p as one message.
func (c *Conn) Send(op byte, p []byte) {
	c.loop.post(event{kind: evSend, conn: c, data: wire.AppendFrame(make([]byte, 0, len(p)+10), op, p)})
}

var deflaters = sync.Pool{New: func() any { return new(rooms.Deflater) }}

// SendDeflated is like Send, but deflates the message if the client accepts that and it gets
// shorter. Only the handler's Message may call it.
func (c *Conn) SendDeflated(op byte, p []byte) {
	if !c.deflate {
		c.Send(op, p)
		return
	}
	d := deflaters.Get().(*rooms.Deflater)
	c.loop.post(event{kind: evSend, conn: c, data: d.AppendFrame(nil, op, p)})
	deflaters.Put(d)
}

// Close sends a close frame after everything that was asked for before, then ends the connection.
// It ends at once if the client answers, after a second if it does not, and after five if it does
// not even read. RFC 6455, 7.4 lists the codes.
func (c *Conn) Close(code int, reason string) {
	c.signs.setDeaf() // from now on the client's input is neither parsed nor answered
	c.loop.post(event{kind: evClose, conn: c, code: uint16(code), data: []byte(reason)})
}

// SetTimer makes the loop call the handler's Timer when the wall clock shows t, within 100 ms. If
// that clock is set meanwhile, Timer is called within seconds, early or late. A connection has one
// timer: a later call of SetTimer or SetTimeout replaces it, and the zero time stops it.
func (c *Conn) SetTimer(t time.Time) {
	e := event{kind: evTimer, conn: c}
	if !t.IsZero() {
		e.tick, e.mark = c.loop.engine.tickAfter(t.Sub(c.loop.engine.cfg.wall())), markTimeOfDay
	}
	c.loop.post(e)
}

// SetTimeout makes the loop call the handler's Timer after d, within 100 ms, whatever the wall
// clock shows.
func (c *Conn) SetTimeout(d time.Duration) {
	c.loop.post(event{kind: evTimer, conn: c, tick: c.loop.engine.tickAfter(d)})
}

// SetAuthenticated counts the connection as authenticated, allows messages of full length, and
// begins its pings: `positions` of quiet rooms, or WebSocket pings. Any goroutine may call it.
func (c *Conn) SetAuthenticated(positions bool) {
	c.signs.bits.Or(signAuthenticated)
	c.loop.engine.gate.authenticated(c)
	e := event{kind: evAuthenticated, conn: c}
	if positions {
		e.mark = markPositions
	}
	c.loop.post(e)
}

// Join joins rooms as one step. When the appenders have answered, reply is called on the loop's
// goroutine with one Joined for each room, in the order of refs. Its result is sent as text before
// the first frame of those rooms. If it is nil, nothing is sent.
func (c *Conn) Join(refs []RoomRef, reply func([]Joined) []byte) {
	c.loop.post(event{kind: evJoin, conn: c, arg: &joining{refs: refs, reply: reply}})
}

// Leave leaves rooms. reply is called as in Join, with the positions up to which each room was
// sent. Those frames are sent before the reply.
func (c *Conn) Leave(names []string, reply func([]Joined) []byte) {
	c.loop.post(event{kind: evLeave, conn: c, arg: &leaving{names: names, reply: reply}})
}

// List calls reply with the rooms that the connection is in.
func (c *Conn) List(reply func([]Joined) []byte) {
	c.loop.post(event{kind: evLeave, conn: c, arg: &leaving{all: true, reply: reply}})
}
