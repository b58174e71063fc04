package loop

import (
	"sync/atomic"
	"testing"
	"time"
)

// setClock is a clock on the wall that can be set.
type setClock struct{ off atomic.Int64 }

func (s *setClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.off.Load())) }

func (s *setClock) step(d time.Duration) { s.off.Add(int64(d)) }

// noticed waits until every loop knows how far the clock was set.
func (w *world) noticed(by time.Duration) {
	w.t.Helper()
	for _, l := range w.engine.loops {
		w.await(func() bool {
			off := make(chan time.Duration, 1)
			l.post(event{kind: evDo, arg: func(l *Loop) { off <- l.timers.steps.off }})
			return (<-off - by).Abs() < wallStep
		})
	}
}

// TestClockSteps: a timer for a time of day comes by the clock on the wall, also where that
// was set before the timer was, or is set while it waits; a timeout does not care.
func TestClockSteps(t *testing.T) {
	f := func(before time.Duration, verb string, set, meanwhile, least time.Duration) {
		t.Helper()
		var wall setClock
		w := newWorld(t, Config{wall: wall.now})
		c := w.talk()
		wall.step(before)
		w.noticed(before)
		began := time.Now()
		c.write(1, verb+" "+set.String())
		if meanwhile != 0 {
			c.ask("level", "level")
			wall.step(meanwhile)
			w.noticed(before + meanwhile)
		}
		c.expect("timer")
		if d := time.Since(began); d < least {
			t.Errorf("the clock set by %v and %v: %s %v came after %v", before, meanwhile, verb, set, d)
		}
	}
	f(-time.Hour, "at", 300*time.Millisecond, 0, 290*time.Millisecond) // was due at once, again and again
	f(time.Hour, "at", 300*time.Millisecond, 0, 290*time.Millisecond)  // was due an hour late
	f(0, "at", 30*time.Minute, time.Hour, 0)
	f(0, "timer", 2500*time.Millisecond, -time.Hour, 2490*time.Millisecond)
	f(0, "timer", 2500*time.Millisecond, time.Hour, 2490*time.Millisecond)
}
