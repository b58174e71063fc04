package loop

import (
	"context"
	"slices"
	"time"

	"tapecast/rooms/wire"
)

// timers holds what a loop does at a given tick: deadlines and pings of its connections,
// timers of the handler, drains, and clients that are read later.
type timers struct {
	loop  *Loop
	wheel wheel
	late  late
	awake tick // when the loop last continued after it had stood still
	steps clockSteps
	drain *drain // nil: none is under way
}

// late holds connections that are not read until the next tick.
type late []*Conn

// resume is called at each tick.
func (w *late) resume() {
	for i, c := range *w {
		c.sock.Resume()
		(*w)[i] = nil
	}
	*w = (*w)[:0]
}

// paused resumes a connection: now that everything it had posted is handled, or at the next tick.
func (t *timers) paused(c *Conn, off putOff) {
	if off == offPace && c.state <= stOpen {
		t.late = append(t.late, c)
		return
	}
	c.sock.Resume()
}

// schedule puts the connection into the wheel at its next deadline.
func (t *timers) schedule(c *Conn) {
	var due tick
	for _, at := range [...]tick{c.pingAt, c.timerAt, c.deadline} {
		if at != 0 && (due == 0 || at < due) {
			due = at
		}
	}
	if c.is(fResting) && (due == 0 || c.extras.meter.until < due) {
		due = c.extras.meter.until
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
	t.wheel.advance(now, t.fire)
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
	if due(&c.pingAt) && c.state == stOpen {
		l.pings.send(c)
	}
	if c.is(fResting) && due(&c.extras.meter.until) {
		l.awaken(c)
	}
	t.schedule(c)
}

// now returns the time since the engine was made, by the monotonic clock.
func (e *Engine) now() time.Duration { return time.Since(e.start) + tickLen }

func (e *Engine) tick() tick { return tick(e.now() / tickLen) }

// tickAfter returns the first tick that is at least d from now.
func (e *Engine) tickAfter(d time.Duration) tick {
	return tick(max(1, (e.now()+d+tickLen-1)/tickLen))
}

// restFor returns how many milliseconds the loop may sleep.
func (l *Loop) restFor() int {
	now := l.engine.now()
	l.looked = now
	ms := l.timers.wheel.wait(now)
	if left, ok := l.rules.UntilDue(now); ok {
		ms = min(ms, int((left+time.Millisecond-1)/time.Millisecond))
	}
	return ms
}

const (
	// wallEvery is the time between two looks at the wall clock.
	wallEvery = time.Second
	// wallStep is how far that clock may drift unnoticed. Timers that go by it are late or early by
	// that much at most. A clock that is slewed by 500 ppm, the most that kernels do, is noticed
	// about once in 17 minutes.
	wallStep = 500 * time.Millisecond
)

// clockSteps notices that the wall clock was set, or that the machine slept. Ticks are counted by
// the monotonic clock, which shows neither.
type clockSteps struct {
	next tick          // of the next look
	off  time.Duration // offset of the wall clock from the monotonic clock, when timers were last set by it
}

// lookAtWall checks all timers that go by the wall clock if that clock was set.
func (t *timers) lookAtWall(now tick) {
	l := t.loop
	if now < t.steps.next {
		return
	}
	t.steps.next = now + ticks(wallEvery)
	e := l.engine // off: how far the wall clock has moved from where the monotonic clock has it
	off := e.cfg.wall().Round(0).Sub(e.start.Round(0)) - time.Since(e.start)
	if d := off - t.steps.off; d.Abs() < wallStep {
		return
	}
	l.log.Warn("the clock was set; timers for times of day are checked again", "by", (off - t.steps.off).String())
	t.steps.off = off
	w := &timerWalk{at: len(l.life.conns)}
	w.step(l)
}

// timerWalk calls the handler's Timer for the connections whose timer goes by the wall clock.
type timerWalk struct{ at int } // connections from this index on have been seen

// step does so for half a slice, then asks for another turn. It goes from the end to the start:
// when a connection ends, the one that moves to its index has been seen already.
func (w *timerWalk) step(l *Loop) {
	end := time.Now().Add(slice / 2)
	for w.at = min(w.at, len(l.life.conns)); w.at > 0; {
		w.at--
		c := l.life.conns[w.at]
		if c.state == stOpen && c.is(fTimeOfDay) {
			l.handler.Timer(c)
		}
		if w.at%64 == 0 && time.Now().After(end) {
			l.do(w.step)
			return
		}
	}
}

// drain spreads the closes of a loop's connections over time.
type drain struct {
	left   []*Conn
	total  int
	begin  tick
	over   tick
	code   uint16
	reason []byte
}

// Drain sends notice to every connection, as text, then closes them spread over the given time. It
// returns when none is left, or with the error of ctx. StopAccepting should have been called
// before.
func (e *Engine) Drain(ctx context.Context, over time.Duration, notice []byte, code int, reason string) error {
	frame := wire.AppendFrame(nil, wire.OpText, notice)
	for _, l := range e.loops {
		l.post(event{kind: evDo, arg: func(l *Loop) {
			d := &drain{begin: l.engine.tick(), over: ticks(over), code: uint16(code), reason: []byte(reason)}
			d.left = slices.Clone(l.life.conns)
			d.total = len(d.left)
			for _, c := range d.left {
				if c.state == stOpen && l.life.enqueue(c, slices.Clone(frame)) {
					l.ready.add(c)
				}
			}
			l.timers.drain = d
			d.step(l, d.begin)
		}})
	}
	return e.waitEmpty(ctx)
}

// waitEmpty waits until no connection is left.
func (e *Engine) waitEmpty(ctx context.Context) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for e.conns.Load() > 0 {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// step closes as many connections as are due by now.
func (d *drain) step(l *Loop, now tick) {
	due := d.total
	if passed := now - d.begin; passed < d.over {
		due = int(uint64(d.total) * uint64(passed) / uint64(d.over))
	}
	for len(d.left) > 0 && d.total-len(d.left) < due {
		c := d.left[0]
		d.left[0] = nil
		d.left = d.left[1:]
		if c.state == stNew {
			l.life.hangUp(c)
		}
		l.life.close(c, d.code, d.reason)
	}
	// A client that connected just before the port closed is closed as well.
	if len(d.left) == 0 && now > d.begin+d.over {
		for _, c := range slices.Clone(l.life.conns) {
			l.life.close(c, d.code, d.reason)
		}
	}
}
