package loop

import (
	"cmp"
	"context"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms/survey"
)

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
