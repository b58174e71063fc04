package loop

import "time"

// timers are what a loop does when its time has come, in ticks: deadlines and heartbeats of
// its connections, the times that the handler set, drains, and clients that are read later.
type timers struct {
	loop  *Loop
	wheel wheel
	late  late
	awake tick // when the loop last went on after it had stood
	steps clockSteps
	drain *drain // nil: none is under way
}

// late are connections that are not read until the next tick.
type late []*Conn

// resume is called with each tick.
func (w *late) resume() {
	for i, c := range *w {
		c.sock.Resume()
		(*w)[i] = nil
	}
	*w = (*w)[:0]
}

// paused has a connection that is not read resumed: now that all it had posted before is
// handled, or with the next tick.
func (t *timers) paused(c *Conn, off putOff) {
	if off == offPace && c.state <= stOpen {
		t.late = append(t.late, c)
		return
	}
	c.sock.Resume()
}

// schedule puts the connection where its next deadline is.
func (t *timers) schedule(c *Conn) {
	var due tick
	for _, at := range [...]tick{c.heartbeatAt, c.timerAt, c.deadline} {
		if at != 0 && (due == 0 || at < due) {
			due = at
		}
	}
	if due == 0 || c.state == stGone && c.deadline == 0 {
		t.wheel.remove(c)
		return
	}
	t.wheel.put(c, due)
}

// turn does what is due by now.
func (t *timers) turn() {
	l := t.loop
	l.looked = l.engine.now()
	now := tick(l.looked / tickLen)
	if now == t.wheel.at {
		return
	}
	if now-t.wheel.at > stood {
		t.awake = now
	}
	t.late.resume()
	t.wheel.turn(now, t.fire)
	t.lookAtWall(now)
	if t.drain != nil {
		t.drain.step(l, now)
	}
}

// fire does what is due on a connection.
func (t *timers) fire(c *Conn) {
	l, now := t.loop, t.wheel.at
	due := func(at *tick) bool {
		if *at == 0 || *at > now {
			return false
		}
		*at = 0
		return true
	}
	if due(&c.deadline) {
		l.life.overdue(c)
	}
	if due(&c.timerAt) {
		c.flags &^= fTimeOfDay
		if c.state == stOpen {
			l.handler.Timer(c)
		}
	}
	if due(&c.heartbeatAt) && c.state == stOpen {
		l.heartbeats.send(c)
	}
	t.schedule(c)
}

// now is the time since the engine was made, by the monotonic clock.
func (e *Engine) now() time.Duration { return time.Since(e.start) + tickLen }

func (e *Engine) tick() tick { return tick(e.now() / tickLen) }

// tickAfter is the first tick that is at least d from now.
func (e *Engine) tickAfter(d time.Duration) tick {
	return tick(max(1, (e.now()+d+tickLen-1)/tickLen))
}

// restFor is how many milliseconds the loop may sleep.
func (l *Loop) restFor() int {
	now := l.engine.now()
	l.looked = now
	ms := l.timers.wheel.wait(now)
	if left, ok := l.rules.UntilDue(now); ok {
		ms = min(ms, int((left+time.Millisecond-1)/time.Millisecond))
	}
	return ms
}
