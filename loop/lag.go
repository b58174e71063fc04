package loop

import (
	"math"
	"time"
	"unsafe"

	"github.com/lesismal/nbio"

	"tapecast/rooms"
)

// Lag is what members of one class lack.
type Lag struct {
	Members int           // that lack something
	Bytes   int64         // that one of them lacks, at most
	Age     time.Duration // of the oldest message that one of them lacks, by Kafka's timestamp
}

func (a *Lag) merge(b *Lag) {
	a.Members += b.Members
	a.Bytes, a.Age = max(a.Bytes, b.Bytes), max(a.Age, b.Age)
}

// lagWalk looks at the connections of a loop, some at a time.
type lagWalk struct {
	at     int // the next one
	now    int64
	found  map[*rooms.Class]*Lag
	pieces []rooms.Piece
	answer chan<- map[*rooms.Class]*Lag
}

// Lags says by class what members lack whose sockets take no more or who wait for
// their turn; members that lack nothing are not looked at, nor those that are sent
// something old or at a rate by their own wish. It asks every loop and waits for the
// answers: with all members level, 10,000 connections take a loop some 0.1 ms.
func (e *Engine) Lags() map[*rooms.Class]Lag {
	answers := make(chan map[*rooms.Class]*Lag, len(e.loops))
	for _, l := range e.loops {
		w := &lagWalk{now: time.Now().UnixMilli(), found: map[*rooms.Class]*Lag{}, answer: answers}
		l.post(event{kind: evDo, arg: w.step})
	}
	all := map[*rooms.Class]Lag{}
	for _, l := range e.loops {
		select {
		case found := <-answers:
			for k, a := range found {
				sum := all[k]
				sum.merge(a)
				all[k] = sum
			}
		case <-l.ended:
		}
	}
	return all
}

// step looks at connections for half a slice, and asks for another turn. Who comes
// and goes meanwhile may be missed or counted twice.
func (w *lagWalk) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	for ; w.at < len(l.conns); w.at++ {
		c := l.conns[w.at]
		waits := c.is(fBlocked | fUrgent | fOwed | fReady)
		if waits {
			for i := range c.seats {
				w.look(c, &c.seats[i])
			}
		}
		if (waits || w.at%64 == 63) && time.Now().After(end) {
			w.at++
			l.post(event{kind: evDo, arg: w.step})
			return
		}
	}
	// Of the members that a pass has yet to visit, the next one has waited longest.
	for _, v := range l.hot {
		if v.left == 0 {
			continue
		}
		c := v.conns[v.at]
		for i := range c.seats {
			t := &c.seats[i]
			if t.sub.Local == any(v) && w.look(c, t) {
				w.found[t.sub.Room().Class()].Members += v.left - 1
			}
		}
	}
	w.answer <- w.found
}

// look counts the seat if it lacks something.
func (w *lagWalk) look(c *Conn, t *seat) bool {
	r := t.sub.Room()
	if x := c.special(t); t.at >= r.Head() || x != nil && x.late() {
		return false
	}
	_, pieces, lagged := r.Cut(t.at, math.MaxInt, w.pieces[:0])
	if lagged {
		_, pieces, _ = r.Cut(r.Tail(), math.MaxInt, w.pieces[:0])
	}
	a := w.found[r.Class()]
	if a == nil {
		a = new(Lag)
		w.found[r.Class()] = a
	}
	lacks := Lag{Members: 1}
	for i := range pieces {
		lacks.Bytes += int64(len(pieces[i].Bytes))
	}
	if len(pieces) > 0 {
		if at := pieces[0].Time(0); at > 0 {
			lacks.Age = time.Duration(max(w.now-at, 0)) * time.Millisecond
		}
	}
	a.merge(&lacks)
	clear(pieces) // they hold chunks
	w.pieces = pieces
	return true
}

// What connections take, in bytes: of the structs that each has, an allocator's
// classes and maps apart. BenchmarkIdleConn measures it.
const (
	connSize   = int64(unsafe.Sizeof(Conn{}) + unsafe.Sizeof(nbio.Conn{}))
	seatSize   = int64(unsafe.Sizeof(seat{}))
	secureSize = 3200 // TLS; BenchmarkIdleSecureConn
)

// memory estimates what the connections and their seats take.
func (s *Stats) memory(secure bool) {
	s.ConnBytes = s.Connections * connSize
	if secure {
		s.ConnBytes += s.Connections * secureSize
	}
	s.SeatBytes = s.Seats * seatSize
}
