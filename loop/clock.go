package loop

import "time"

const (
	// wallEvery is the time between two looks at the clock on the wall.
	wallEvery = time.Second
	// wallStep is how far that clock may drift unnoticed: timers for times of day are
	// late or early by so much at most. A clock that is slewed by 500 ppm, which is the
	// most that kernels do, is noticed about once in 17 minutes.
	wallStep = 500 * time.Millisecond
)

// clockSteps notices when the clock on the wall was set, or stood while the machine slept:
// ticks are counted by the monotonic clock, which knows nothing of either.
type clockSteps struct {
	next tick          // of the next look
	off  time.Duration // of the wall's clock from the monotonic one, when timers were last set by it
}

// wallOff is how far the clock on the wall has gone from where the monotonic one has it.
func (e *Engine) wallOff() time.Duration {
	now := e.cfg.wall()
	return now.Round(0).Sub(e.start.Round(0)) - time.Since(e.start)
}

// lookAtWall has all timers for times of day looked at again where the clock was set.
func (t *timers) lookAtWall(now tick) {
	l := t.loop
	if now < t.steps.next {
		return
	}
	t.steps.next = now + ticks(wallEvery)
	off := l.engine.wallOff()
	if d := off - t.steps.off; d.Abs() < wallStep {
		return
	}
	l.log.Warn("the clock was set; timers for times of day are looked at again", "by", (off - t.steps.off).String())
	t.steps.off = off
	w := &timerWalk{at: len(l.life.conns)}
	w.step(l)
}

// timerWalk calls the handler's Timer of the connections that wait for a time of day.
type timerWalk struct{ at int } // those from here on have been seen

// step does so for half a slice, and asks for another turn. It goes from the end to the
// beginning: what takes the place of a connection that goes has been seen already.
func (w *timerWalk) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	for w.at = min(w.at, len(l.life.conns)); w.at > 0; {
		w.at--
		c := l.life.conns[w.at]
		if c.state == stOpen && c.is(fTimeOfDay) {
			l.handler.Timer(c)
		}
		if w.at%64 == 0 && time.Now().After(end) {
			l.post(event{kind: evDo, arg: w.step})
			return
		}
	}
}
