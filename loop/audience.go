package loop

import (
	"fmt"
	"math/rand/v2"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// smallRoom is the most members of a room that is served at once, before rooms that need a pass.
// About 64 sends fill a slice.
const smallRoom = 64

// audience holds the loop's members of a room that has several here. It is in the Sub's Local. For
// a room with one member, Local holds the connection itself.
type audience struct {
	conns []*Conn

	// The pass that is under way, if there is one.
	passing bool
	again   bool // the room has grown, or members moved, since it began
	at      int  // next member
	left    int  // members to visit
	visited int
	began   time.Time
}

// attend adds the connection to the room's audience and returns its index there.
func attend(c *Conn, sub *rooms.Sub) (index uint32) {
	switch x := sub.Local.(type) {
	case nil:
		sub.Local = c
		return 0
	case *Conn:
		sub.Local = &audience{conns: []*Conn{x, c}}
		return 1 // x keeps index 0
	case *audience:
		x.conns = append(x.conns, c)
		x.again = x.passing
		return uint32(len(x.conns) - 1)
	}
	panic(fmt.Sprintf("BUG: a sub's Local holds a %T", sub.Local))
}

// unattend removes the member's connection from the room's audience.
func unattend(m *member.Member) {
	sub := m.Sub()
	v, ok := sub.Local.(*audience)
	if !ok {
		sub.Local = nil
		return
	}
	last := len(v.conns) - 1
	moved := v.conns[last]
	v.conns[m.Index] = moved
	v.conns[last] = nil
	v.conns = v.conns[:last]
	if int(m.Index) < last {
		moved.members[moved.memberIn(sub)].Index = m.Index
	}
	if last == 0 {
		sub.Local = nil
	}
	// The pass may have skipped the member that moved.
	v.again = v.passing
	v.left = min(v.left, last)
	if v.at >= last {
		v.at = 0
	}
}

// grown is called for a room that has new frames.
func (l *Loop) grown(sub *rooms.Sub) {
	sub.Take()
	switch x := sub.Local.(type) {
	case *Conn:
		l.urgent.add(x)
	case *audience:
		if len(x.conns) <= smallRoom {
			first := rand.IntN(len(x.conns)) // at random, as in a pass
			for i := range x.conns {
				l.urgent.add(x.conns[(first+i)%len(x.conns)])
			}
			return
		}
		if x.passing {
			x.again = true
			return
		}
		if len(l.hot) == 0 {
			l.engine.handshakes.Passes(1)
		}
		l.hot = append(l.hot, x)
		x.begin()
	}
}

// begin starts a pass at a random member, so that no member is always the first or the last.
func (v *audience) begin() {
	v.passing, v.again = true, false
	v.left, v.at, v.visited = len(v.conns), 0, 0
	if v.left > 0 {
		v.at = rand.IntN(v.left)
	}
	v.began = time.Now()
}

// passes holds the rooms in the middle of a pass. The first one is served next.
type passes []*audience

// step visits members of the first room for one slice.
func (p *passes) step(l *Loop) {
	if len(*p) == 0 {
		return
	}
	v := (*p)[0]
	now := l.clock()
	began, end := now, now.Add(slice)
	for v.left > 0 {
		c := v.conns[v.at]
		if v.at++; v.at == len(v.conns) {
			v.at = 0
		}
		v.left--
		v.visited++
		l.stats.Visits++
		l.send.flush(c)
		if now = time.Now(); !now.Before(end) {
			break
		}
	}
	l.stats.PassBusy += now.Sub(began)
	if v.left == 0 {
		l.stats.passed(now.Sub(v.began), v.visited)
		if v.again && len(v.conns) > 0 {
			v.begin()
		} else {
			v.passing = false
			(*p)[0] = nil
			if *p = (*p)[1:]; len(*p) == 0 {
				l.engine.handshakes.Passes(-1)
			}
			return
		}
	}
	// Now the next room.
	*p = append((*p)[1:], v)
}

// small reports whether the member's room is small enough to be served at once.
func small(m *member.Member) bool {
	v, ok := m.Sub().Local.(*audience)
	return !ok || len(v.conns) <= smallRoom
}

// queue holds connections to visit, each once.
type queue struct {
	flag  flags
	most  int // bytes that a visit sends
	conns []*Conn
	at    int
}

func (q *queue) empty() bool { return q.at == len(q.conns) }

func (q *queue) add(c *Conn) {
	if !c.is(q.flag) {
		c.flags |= q.flag
		q.conns = append(q.conns, c)
	}
}

// serve visits connections of the queue for one slice.
func (q *queue) serve(l *Loop) {
	if q.empty() {
		return
	}
	end := l.clock().Add(slice)
	for !q.empty() {
		c := q.conns[q.at]
		q.conns[q.at] = nil
		q.at++
		c.flags &^= q.flag
		l.send.visit(c, q.most)
		if !time.Now().Before(end) {
			break
		}
	}
	if q.empty() {
		q.conns, q.at = q.conns[:0], 0
	} else if q.at > 1024 && q.at > len(q.conns)/2 {
		n := copy(q.conns, q.conns[q.at:])
		clear(q.conns[n:])
		q.conns, q.at = q.conns[:n], 0
	}
}
