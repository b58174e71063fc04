package loop

import (
	"cmp"
	"context"
	"time"

	"tapecast/rooms/survey"
)

// MemberInfo describes a member that lags to an operator.
type MemberInfo struct {
	Conn    *Conn
	Room    string
	Behind  uint64 // frames
	Blocked bool
}

// slowWalk finds the members of a loop that lack the most, in steps.
type slowWalk struct {
	at     int   // the next connection
	conn   *Conn // the one in which the last step ended; nil: none
	member int   // its next one
	top    *survey.Top[MemberInfo]
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

// step looks at members for half a slice, then asks for another turn. Members that come and go
// meanwhile may be missed.
func (w *slowWalk) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	looked := 0
	for ; w.at < len(l.life.conns); w.at++ {
		c := l.life.conns[w.at]
		if c != w.conn {
			w.conn, w.member = c, 0
		}
		for blocked := c.is(fBlocked); w.member < len(c.members); w.member++ {
			if looked++; looked%64 == 0 && time.Now().After(end) {
				l.do(w.step)
				return
			}
			t := &c.members[w.member]
			r := t.Room()
			if head := r.Head(); head > t.At() {
				w.top.Add(MemberInfo{c, r.Name(), head - t.At(), blocked})
			}
		}
		if looked++; looked%64 == 0 && time.Now().After(end) {
			w.at++
			l.do(w.step)
			return
		}
	}
	l.slow.Answer(w.top.List())
}
