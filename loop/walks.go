package loop

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
	"unsafe"

	"tapecast/loop/member"
	"tapecast/loop/netpoll"
	"tapecast/rooms"
	"tapecast/rooms/survey"
)

// Lag summarizes what the members of one class lack.
type Lag struct {
	Members int           `each:"tapecast_lagging_members"` // how many lack something
	Bytes   int64         `each:"tapecast_lag_bytes"`       // the most that one of them lacks
	Age     time.Duration `each:"tapecast_lag_seconds"`     // of the oldest message that one lacks, by its timestamp
}

func (a *Lag) merge(b *Lag) {
	a.Members += b.Members
	a.Bytes, a.Age = max(a.Bytes, b.Bytes), max(a.Age, b.Age)
}

// lagWalk looks at the connections of a loop, in steps.
type lagWalk struct {
	memberWalk
	seen   bool // all connections were seen; now come the rooms in a pass
	hot    []*audience
	now    int64
	found  map[*rooms.Class]*Lag
	pieces []rooms.Piece
}

// Lags returns, by class, what members lack because their sockets take no more bytes or because
// they wait for their turn. Level members are left out, and so are members that asked for something
// old or for a rate. It asks every loop and waits at most that long for the answers. If all members
// are level, 10,000 connections take a loop about 0.1 ms. A loop that does not answer counts with
// its last answer, so one that stands still does not hide the others.
func (e *Engine) Lags(wait time.Duration) map[*rooms.Class]Lag {
	e.ask(wait, func(l *Loop) <-chan struct{} {
		return l.lags.Ask(func() bool {
			w := &lagWalk{now: time.Now().UnixMilli(), found: map[*rooms.Class]*Lag{}}
			l.do(w.step)
			return true
		})
	})
	all := map[*rooms.Class]Lag{}
	for _, l := range e.loops {
		for k, a := range l.lags.Last() {
			sum := all[k]
			sum.merge(a)
			all[k] = sum
		}
	}
	return all
}

// step looks at connections that wait for something, for half a slice, then asks for another turn.
func (w *lagWalk) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	if !w.members(l, end, fBlocked|fUrgent|fOwed|fReady, w.look) || !w.passes(l, end) {
		l.do(w.step)
		return
	}
	l.lags.Answer(w.found)
}

// passes looks at the members that a pass has yet to visit. The next one has waited longest.
// It returns false if there are more passes.
func (w *lagWalk) passes(l *Loop, end time.Time) bool {
	if !w.seen {
		w.seen, w.hot = true, slices.Clone(l.hot)
	}
	for len(w.hot) > 0 {
		v := w.hot[0]
		w.hot = w.hot[1:]
		if !v.passing || v.left == 0 {
			continue
		}
		c := v.conns[v.at]
		for i := range c.members {
			t := &c.members[i]
			if t.Sub().Local == any(v) && w.look(c, t) {
				w.found[t.Room().Class()].Members += v.left - 1
			}
		}
		if time.Now().After(end) {
			return len(w.hot) == 0
		}
	}
	return true
}

// look counts the member if it lacks something. It returns false if it does not.
func (w *lagWalk) look(c *Conn, t *member.Member) bool {
	r := t.Room()
	if x := c.extra(t); t.At() >= r.Head() || x != nil && x.Late() || c.is(fBehind) {
		return false
	}
	_, pieces, lagged := r.Cut(t.At(), math.MaxInt, w.pieces[:0])
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
	clear(pieces) // pieces keep chunks in memory
	w.pieces = pieces
	return true
}

// The memory of a connection and a member, in bytes: their structs, without rounding by the
// allocator and without maps. BenchmarkIdleConn measures it.
const (
	connSize   = int64(unsafe.Sizeof(Conn{})) + netpoll.ConnSize
	memberSize = int64(unsafe.Sizeof(member.Member{}))
	secureSize = 3200 // TLS; BenchmarkIdleSecureConn
)

// memory estimates the memory of the connections and their members.
func (s *Stats) memory(secure bool) {
	s.ConnBytes = s.Connections * connSize
	if secure {
		s.ConnBytes += s.Connections * secureSize
	}
	s.MemberBytes = s.Members * memberSize
}

// MemberInfo describes a member that lags to an operator.
type MemberInfo struct {
	Conn    *Conn
	Room    string
	Behind  uint64 // frames
	Blocked bool
}

// memberWalk looks at the members of a loop's connections, in steps. Connections that open or end
// meanwhile, and members that come and go, may be missed or seen twice.
type memberWalk struct {
	at     int   // the next connection
	conn   *Conn // the one in which the last step ended; nil: none
	member int   // its next one
	looked int   // members and connections
}

// members calls look for the members of connections with any of the flags (0: of all), until the
// step must end. It returns false if there are more. look reports whether it took long.
func (w *memberWalk) members(l *Loop, end time.Time, only flags, look func(*Conn, *member.Member) bool) bool {
	for ; w.at < len(l.life.conns); w.at++ {
		c := l.life.conns[w.at]
		if c != w.conn {
			w.conn, w.member = c, 0
		}
		if only == 0 || c.is(only) {
			for ; w.member < len(c.members); w.member++ {
				if look(c, &c.members[w.member]) && time.Now().After(end) || w.over(end) {
					w.member++
					return false
				}
			}
		}
		if w.over(end) {
			w.at++
			return false
		}
	}
	return true
}

// over reports whether the step must end. It looks at the clock once in 64 calls.
func (w *memberWalk) over(end time.Time) bool {
	w.looked++
	return w.looked%64 == 0 && time.Now().After(end)
}

// slowWalk finds the members of a loop that lack the most.
type slowWalk struct {
	memberWalk
	top *survey.Top[MemberInfo]
}

// Slowest returns the n members that lack the most frames. It asks every loop and waits at most
// that long for the answers. late names the loops that did not answer: their members are not in the
// list.
func (e *Engine) Slowest(n int, wait time.Duration) (list []MemberInfo, late []string) {
	late = e.ask(wait, func(l *Loop) <-chan struct{} {
		return l.slow.Ask(func() bool {
			w := &slowWalk{top: newSlow(n)}
			l.do(w.step)
			return true
		})
	})
	all := newSlow(n)
	for _, l := range e.loops {
		for _, m := range l.slow.Take() {
			all.Add(m)
		}
	}
	return all.List(), late
}

func newSlow(n int) *survey.Top[MemberInfo] {
	return survey.NewTop(n, func(a, b MemberInfo) int {
		return cmp.Or(cmp.Compare(a.Behind, b.Behind), cmp.Compare(b.Room, a.Room))
	})
}

// ask calls begin for each loop, waits at most that long for the answers, and returns the names of
// the loops that have not answered.
func (e *Engine) ask(wait time.Duration, begin func(*Loop) <-chan struct{}) (late []string) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	asked := make([]<-chan struct{}, len(e.loops))
	for i, l := range e.loops {
		asked[i] = begin(l)
	}
	for i, l := range e.loops {
		if !survey.Await(ctx, asked[i], l.ended) {
			late = append(late, l.turns.Name)
		}
	}
	return late
}

// step looks at members for half a slice, then asks for another turn.
func (w *slowWalk) step(l *Loop) {
	if !w.members(l, time.Now().Add(slice/2), 0, w.look) {
		l.do(w.step)
		return
	}
	l.slow.Answer(w.top.List())
}

func (w *slowWalk) look(c *Conn, t *member.Member) bool {
	r := t.Room()
	if head := r.Head(); head > t.At() {
		w.top.Add(MemberInfo{c, r.Name(), head - t.At(), c.is(fBlocked)})
	}
	return false
}
