package tlsconn

import (
	"net/netip"
	"slices"
	"time"
)

// lines holds the connections that wait for a handshake: one line for each address, served in turn.
// What one address asks for delays another address by one handshake, not by all of them.
type lines struct {
	of   map[netip.Addr]*line
	ring []*line // the first is served next
	n    int
}

// line holds the connections of one address, in order.
type line struct {
	addr netip.Addr
	in   []waiting
}

// waiting is a connection whose client has sent its hello.
type waiting struct {
	conn  *Conn
	since time.Time
}

func (q *lines) add(c *Conn, now time.Time) {
	a := c.owner.Network()
	l := q.of[a]
	if l == nil {
		if q.of == nil {
			q.of = map[netip.Addr]*line{}
		}
		l = &line{addr: a}
		q.of[a] = l
		q.ring = append(q.ring, l)
	}
	l.in = append(l.in, waiting{c, now})
	q.n++
}

// take returns the first connection of the next line whose first connection has waited since
// before. If before is zero, it takes the next line. It returns nil if there is none.
func (q *lines) take(before time.Time) *Conn {
	for i, l := range q.ring {
		if !before.IsZero() && l.in[0].since.After(before) {
			continue
		}
		c := l.in[0].conn
		l.in[0] = waiting{}
		l.in = l.in[1:]
		q.ring = slices.Delete(q.ring, i, i+1)
		if len(l.in) > 0 {
			q.ring = append(q.ring, l)
		} else {
			delete(q.of, l.addr)
		}
		if q.n--; q.n == 0 {
			*q = lines{}
		}
		return c
	}
	return nil
}

// oldest returns since when the longest waiting connection has waited. ok is false if none waits.
func (q *lines) oldest() (since time.Time, ok bool) {
	for _, l := range q.ring {
		if !ok || l.in[0].since.Before(since) {
			since, ok = l.in[0].since, true
		}
	}
	return since, ok
}
