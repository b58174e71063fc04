package loop

import (
	"slices"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// memberClient is a connection as the rules of its members see it (member.Client).
type memberClient Conn

func (c *memberClient) conn() *Conn { return (*Conn)(c) }

// Tell queues a notice that must come before frames. It returns false if that is not possible now.
func (c *memberClient) Tell(frame []byte) bool {
	if c.out != nil && c.out.wouldOverflow(frame) {
		return false
	}
	return c.loop.life.enqueue(c.conn(), frame)
}

// TooSlow closes the connection because it lags in the room.
func (c *memberClient) TooSlow(r *rooms.Room) {
	c.loop.stats.LagClosed++
	c.loop.life.close(c.conn(), wire.CloseTooSlow, []byte(r.Name()))
}

// Places reports whether the client wants `positions`.
func (c *memberClient) Places() bool { return c.conn().is(fPositions) }

// Walked counts last values that were sent.
func (c *memberClient) Walked(r *rooms.Room, bytes int64) {
	c.loop.engine.cfg.SnapshotSent(c.conn(), r.Name(), bytes)
}

// Wake makes the loop visit the connection.
func (c *memberClient) Wake() { c.loop.ready.add(c.conn()) }

// Rejoin joins a room again for one of its members.
func (c *memberClient) Rejoin(x *member.Extra, r *rooms.Room, since rooms.Positions) {
	l := c.loop
	again := rooms.Member{Name: r.Name(), Pattern: r.Pattern(), Since: &since}
	j := &rooms.Join{Payer: l.handler.Payer(c.conn()), Rooms: []rooms.Member{again}}
	j.Done = func(*rooms.Join) {
		l.do(func(l *Loop) {
			given := &j.Rooms[0]
			if given.Err == nil {
				l.table.Leave(given.Sub) // the member has a membership already
			}
			l.rejoined(c.conn(), x, given, nil, false, nil)
		})
	}
	l.table.Join(l.listener, j)
}

// Recall asks for what a member lacks and no tape holds.
func (c *memberClient) Recall(x *member.Extra, given *rooms.Member, ask *rooms.Recall) {
	l := c.loop
	wait, counted := l.engine.cfg.RecallBegins(c.conn())
	counted = counted && c.extras != nil
	if counted && (c.extras.reading || wait > 0) {
		wait = max(wait, 1) + recallWait(len(c.extras.members))
	}
	began := wait == 0 && counted
	ask.Done = func(p *rooms.Past, err error) {
		l.do(func(l *Loop) {
			if began && c.extras != nil {
				c.extras.reading = false
			}
			if err == nil {
				l.engine.cfg.RecallGiven(c.conn(), p.Size())
			}
			l.rejoined(c.conn(), x, given, p, true, err)
		})
	}
	if wait > 0 {
		ask.Done(nil, errRecallBudget(wait)) // the member asks again
		return
	}
	if began {
		c.extras.reading = true
	}
	ask.Payer = l.handler.Payer(c.conn())
	ask.TakeBack = l.takesBack(c.conn(), given.Sub)
	l.engine.cfg.Recall(ask)
}

// rejoined takes the answer to Rejoin, and later to Recall, unless the member has left meanwhile. It
// may also have joined again since.
func (l *Loop) rejoined(c *Conn, x *member.Extra, given *rooms.Member, past *rooms.Past, read bool, err error) {
	k := -1
	if c.state == stOpen && given.Err == nil {
		k = c.memberIn(given.Sub)
	}
	if k < 0 || c.extra(&c.members[k]) != x {
		past.Release()
		return
	}
	l.rules.Rejoined(&c.members[k], x, given, past, read, err)
}

// extra returns the member's Extra, or nil if it has none.
func (c *Conn) extra(m *member.Member) *member.Extra {
	if m.Plain() {
		return nil
	}
	return c.extras.members[m.Sub()]
}

// setExtra sets the member's Extra. Nil: it has none from now on.
func (c *Conn) setExtra(m *member.Member, x *member.Extra) {
	if x == nil {
		delete(c.extras.members, m.Sub())
		c.tidy()
		return
	}
	e := c.extrasOf()
	if e.members == nil {
		e.members = map[*rooms.Sub]*member.Extra{}
	}
	e.members[m.Sub()] = x
}

// begin gives a new member what was asked for besides the live frames.
func (l *Loop) begin(c *Conn, m *member.Member, w *member.Wish) {
	if x := l.rules.Begin(m, (*memberClient)(c), w); x != nil {
		c.setExtra(m, x)
	}
}

const (
	// manyMembers is up to how many members are searched one by one. Few clients have more. Theirs
	// are found through an index, which takes about 30 bytes each.
	manyMembers = 32
	// fewMembers is when the index is dropped. A client that leaves and joins the same room
	// repeatedly does not have it built each time.
	fewMembers = manyMembers / 2
)

// find returns the index of the member in the room, or -1 if there is none.
func (c *Conn) find(name string) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[name]; ok {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Room().Name() == name })
}

// memberIn returns the index of the member with that sub, or -1 if there is none.
func (c *Conn) memberIn(sub *rooms.Sub) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[sub.Room().Name()]; ok && c.members[k].Sub() == sub {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Sub() == sub })
}

// addMember appends a member.
func (c *Conn) addMember(m member.Member) *member.Member {
	c.members = append(c.members, m)
	n := len(c.members)
	added := &c.members[n-1]
	if x := c.extras; x != nil && x.index != nil {
		x.index[m.Room().Name()] = int32(n - 1)
		return added
	}
	if n <= manyMembers {
		return added
	}
	index := make(map[string]int32, cap(c.members))
	for k := range c.members {
		index[c.members[k].Room().Name()] = int32(k)
	}
	c.extrasOf().index = index
	return added
}

// dropMember removes member k. The last member moves to its index.
func (c *Conn) dropMember(k int) member.Member {
	t, last := c.members[k], len(c.members)-1
	c.members[k] = c.members[last]
	c.members[last] = member.Member{}
	if x := c.extras; x != nil && x.index != nil {
		delete(x.index, t.Room().Name())
		if k < last {
			x.index[c.members[k].Room().Name()] = int32(k)
		}
		if last < fewMembers {
			x.index = nil
			c.tidy()
		}
	}
	c.members = c.members[:last]
	return t
}
