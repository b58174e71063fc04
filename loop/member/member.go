package member

import (
	"time"

	"tapecast/rooms"
)

// Member is one membership: a cursor in a room. A connection may have thousands, so it is kept at
// 24 bytes.
type Member struct {
	sub *rooms.Sub
	at  uint64 // number of the next frame to be sent

	Index    uint32 // in the room's audience; the loop sets it
	Wildcard uint8  // id of the wildcard that joined the room; 0: joined by name
	Quiet    bool   // nothing was sent since the last ping

	coding rooms.Coding // the form in which it takes frames
	extra  bool         // it has an Extra
}

// New returns a member that starts with frame number at.
func New(sub *rooms.Sub, at uint64, coding rooms.Coding) Member {
	return Member{sub: sub, at: at, Quiet: true, coding: coding}
}

// Sub returns the loop's interest in the member's room.
func (m *Member) Sub() *rooms.Sub { return m.sub }

// Room returns the member's room.
func (m *Member) Room() *rooms.Room { return m.sub.Room() }

// At returns the number of the next frame to be sent.
func (m *Member) At() uint64 { return m.at }

// Coding returns the form in which the member takes frames.
func (m *Member) Coding() rooms.Coding { return m.coding }

// Plain reports whether the member has no extra state.
func (m *Member) Plain() bool { return !m.extra }

// Level reports whether a plain member lacks nothing.
func (m *Member) Level() bool { return !m.extra && m.at >= m.sub.Room().Head() }

// Client is the connection of a member, as the rules see it.
type Client interface {
	// Tell queues a frame that must come before the member's frames. It returns false if too much
	// waits already.
	Tell(frame []byte) bool
	// TooSlow closes the connection because the member lags by more than the room keeps. When it
	// returns, the connection has no members.
	TooSlow(*rooms.Room)
	// Rejoin joins the room again from a position. The answer goes to Rules.Rejoined.
	Rejoin(x *Extra, r *rooms.Room, since rooms.Positions)
	// Recall reads again what a given membership lacks. It sets who pays for the request and where
	// the answer goes, which is Rules.Rejoined.
	Recall(x *Extra, given *rooms.Member, ask *rooms.Recall)
	// Walked counts bytes of last values that the client was sent because it asked for them.
	Walked(r *rooms.Room, bytes int64)
	// Places reports whether the client wants to be told of positions that it did not ask for.
	Places() bool
	// Wake makes the loop look at the members again.
	Wake()
}

// Counts counts events of all members of a loop.
type Counts struct {
	Gaps      uint64 // gap notices
	GapFrames uint64 `metric:"tapecast_gap_frames_total"`       // frames that those members missed
	Conflated uint64 `metric:"tapecast_conflated_frames_total"` // superseded before lagging members were sent them
	Snapshots uint64 `metric:"tapecast_snapshots_total"`        // begun
}

// Rules is what the members of a loop share.
type Rules struct {
	Table   *rooms.Table
	Now     func() time.Duration // a clock that only goes forward
	Recalls bool                 // Client.Recall may be called
	Counts  *Counts

	delays delays
}

// Cut is what Next has cut for a member.
type Cut struct {
	Extra *Extra // the member's Extra from now on; nil: none
	More  bool   // it lacks more than was cut

	next    uint64 // the cursor once all pieces are sent
	past    bool   // pieces of a past, whose frames have numbers of their own
	newest  bool   // pieces of last values
	counted bool   // pieces of last values that Client.Walked counts
	late    bool   // the client asked for something old, or for a rate: see Extra.Late
}

// Newest reports whether the pieces are the newest frames of keys instead of every frame.
func (c *Cut) Newest() bool { return c.newest }

// Fresh reports whether the client gets the pieces as early as it can.
func (c *Cut) Fresh() bool { return !c.past && !c.late }

// Next appends to dst what the member must be sent next: at most budget bytes, or one frame. x is
// its Extra, or nil. If the client was closed meanwhile (Client.TooSlow), the Cut means nothing.
func (r *Rules) Next(m *Member, x *Extra, c Client, budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	room := m.sub.Room()
	head := room.Head()
	if !m.extra {
		if m.at >= head {
			return dst, Cut{}
		}
		jump := room.Jump(m.at)
		if jump || r.Table.Behind(room, m.at) {
			return r.lags(m, c, jump, budget, dst)
		}
	}
	if m.extra {
		s := step{Rules: r, m: m, x: x, c: c}
		return s.next(budget, dst)
	}
	next, pieces, lagged := m.cut(room, budget, dst)
	if lagged {
		s := step{Rules: r, m: m, c: c}
		return s.overtaken(budget, dst)
	}
	return pieces, Cut{next: next, More: len(pieces) > len(dst) && next < head}
}

// lags is Next for a plain member that lags: it jumps to the newest keyframe, or is conflated from
// now on.
func (r *Rules) lags(m *Member, c Client, jump bool, budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	s := step{Rules: r, m: m, c: c}
	if jump && !s.lagged() {
		return dst, s.nothing()
	}
	if !m.extra && r.Table.Behind(m.Room(), m.at) {
		s.needs().walk = walkOn
	}
	if m.extra {
		return s.next(budget, dst)
	}
	next, pieces, lagged := m.cut(m.Room(), budget, dst)
	if lagged {
		return s.overtaken(budget, dst)
	}
	return pieces, Cut{next: next, More: s.more || len(pieces) > len(dst) && next < m.Room().Head()}
}

// overtaken is Next for a plain member whose next frame the tape has dropped.
func (s *step) overtaken(budget int, dst []rooms.Piece) ([]rooms.Piece, Cut) {
	if !s.lagged() {
		return dst, s.nothing()
	}
	if s.m.extra { // it waits for a keyframe
		s.more = true
		return dst, s.nothing()
	}
	next, pieces, lagged := s.m.cut(s.m.Room(), budget, dst)
	return pieces, Cut{next: next, More: s.more || lagged || len(pieces) > len(dst) && next < s.m.Room().Head()}
}

// cut is Room.Cut for a plain member.
func (m *Member) cut(r *rooms.Room, budget int, dst []rooms.Piece) (next uint64, pieces []rooms.Piece, lagged bool) {
	if m.coding != rooms.Plain {
		return r.CutAs(m.coding, m.at, budget, dst)
	}
	return r.Cut(m.at, budget, dst)
}

// Sent moves the member on by the first n bytes of a piece of the cut. last says that the piece is
// the cut's last. frames is how many of its frames have begun to be sent. rest is the unsent part
// of the last one, which must go before everything else.
func (r *Rules) Sent(m *Member, cut *Cut, p *rooms.Piece, last bool, n int) (frames int, rest []byte) {
	next, rest := p.Sent(n)
	frames = int(next - p.First())
	if last && n == len(p.Bytes) {
		next = cut.next
	}
	m.Quiet = false
	x := cut.Extra
	if x == nil {
		m.at = next
		return frames, rest
	}
	if cut.counted {
		x.walked(n)
	}
	if cut.past {
		x.pastAt = int(next)
	} else {
		r.move(m, x, next, frames)
	}
	return frames, rest
}

// move sets the cursor to next. frames is how many frames before it have begun to be sent.
func (r *Rules) move(m *Member, x *Extra, next uint64, frames int) {
	if x.walk == walkOn {
		superseded := next - m.at - uint64(frames)
		x.skipped += superseded
		r.Counts.Conflated += superseded
	}
	m.at = next
}
