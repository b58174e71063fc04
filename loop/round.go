package loop

import "time"

// round calls a function for the connections of a loop, in steps. It goes from the last to the first:
// when one ends, the last one takes its place, so that none that was there at the beginning is missed.
type round struct {
	of     func(*Conn)
	left   int // connections before this one were not looked at
	looked int
	done   chan struct{}
}

// Each calls a function for every connection with a session, on the goroutine of its loop. One that
// gets its session after Each was called may be left out, and one may come twice. The function
// must not block. Each waits at most that long, and returns the names of the loops that have not
// ended by then; they go on.
func (e *Engine) Each(of func(*Conn), wait time.Duration) (late []string) {
	return e.ask(wait, func(l *Loop) <-chan struct{} {
		r := &round{of: of, done: make(chan struct{})}
		l.do(func(l *Loop) {
			r.left = len(l.life.conns)
			r.step(l)
		})
		return r.done
	})
}

// step looks at connections for half a slice, then asks for another turn.
func (r *round) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	for r.left = min(r.left, len(l.life.conns)); r.left > 0; {
		r.left--
		// The session may be that of an upgrade that the loop has not answered yet.
		if c := l.life.conns[r.left]; c.state != stGone && c.signs.bits.Load()&signSession != 0 {
			r.of(c)
		}
		if r.looked++; r.looked%64 == 0 && time.Now().After(end) {
			l.do(r.step)
			return
		}
	}
	close(r.done)
}
