package loop

import (
	"math/rand/v2"
	"time"

	"tapecast/rooms"
)

// smallRoom is up to how many members a room is served at once, before rooms
// that need a pass: some 64 sends take a slice.
const smallRoom = 64

// view is the loop's side of a room with several members here, kept in the
// Sub's Local. A room with one member keeps the connection itself there.
type view struct {
	conns []*Conn

	// The pass that is under way, if there is one.
	passing bool
	again   bool // the room has grown, or members moved, since it began
	at      int  // next member
	left    int  // members to visit
	visited int
	began   time.Time
}

// enter puts the connection among the room's members; the place is found
// again through its seat.
func (l *Loop) enter(c *Conn, sub *rooms.Sub) (place uint32) {
	switch x := sub.Local.(type) {
	case nil:
		sub.Local = c
		return 0
	case *Conn:
		sub.Local = &view{conns: []*Conn{x, c}}
		return 1 // and x is at 0, as its seat says
	case *view:
		x.conns = append(x.conns, c)
		x.again = x.passing
		return uint32(len(x.conns) - 1)
	}
	panic("BUG: a sub holds what is no view")
}

// exit takes a seat's connection out of the room's members.
func (l *Loop) exit(t seat) {
	v, ok := t.sub.Local.(*view)
	if !ok {
		t.sub.Local = nil
		return
	}
	last := len(v.conns) - 1
	moved := v.conns[last]
	v.conns[t.place] = moved
	v.conns[last] = nil
	v.conns = v.conns[:last]
	if int(t.place) < last {
		moved.seats[moved.seatIn(t.sub)].place = t.place
	}
	if last == 0 {
		t.sub.Local = nil
	}
	// The member that moved may have been passed over.
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
	case *view:
		if len(x.conns) <= smallRoom {
			first := rand.IntN(len(x.conns)) // by lot, as in a pass
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
			l.engine.greeters.passes(1)
		}
		l.hot = append(l.hot, x)
		x.begin()
	}
}

// begin starts a pass at a member drawn by lot, so that nobody is always the
// first or the last.
func (v *view) begin() {
	v.passing, v.again = true, false
	v.left, v.at, v.visited = len(v.conns), 0, 0
	if v.left > 0 {
		v.at = rand.IntN(v.left)
	}
	v.began = time.Now()
}

// pass visits members of the first room that is in a pass, for one slice.
func (l *Loop) pass() {
	if len(l.hot) == 0 {
		return
	}
	v := l.hot[0]
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
		l.flush(c)
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
			l.hot[0] = nil
			if l.hot = l.hot[1:]; len(l.hot) == 0 {
				l.engine.greeters.passes(-1)
			}
			return
		}
	}
	// The next room's turn.
	l.hot = append(l.hot[1:], v)
}

// small says that the seat's room is served at once.
func (t *seat) small() bool {
	v, ok := t.sub.Local.(*view)
	return !ok || len(v.conns) <= smallRoom
}

// queue holds connections that are to be visited, each once.
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
func (l *Loop) serve(q *queue) {
	if q.empty() {
		return
	}
	end := l.clock().Add(slice)
	for !q.empty() {
		c := q.conns[q.at]
		q.conns[q.at] = nil
		q.at++
		c.flags &^= q.flag
		l.visit(c, q.most)
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
