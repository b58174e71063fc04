package loop

import "time"

// tick is a time in steps of 100 ms since the engine was made; 0 is never.
type tick uint32

const tickLen = 100 * time.Millisecond

func ticks(d time.Duration) tick { return tick((d + tickLen - 1) / tickLen) }

// wheelSlots is how far the wheel reaches: 51.2 s. What is due later is put
// into its last slot, and looked at again then.
const wheelSlots = 512

// wheel holds the connections of a loop by the time of their next deadline.
// Each is in one slot at most, linked through itself.
type wheel struct {
	slots [wheelSlots]*Conn
	at    tick // all slots up to this one have been emptied
}

func (w *wheel) init() { w.at = 1 }

func (w *wheel) put(c *Conn, due tick) {
	w.remove(c)
	due = max(due, w.at+1)
	due = min(due, w.at+wheelSlots-1)
	i := due % wheelSlots
	c.slot, c.prev, c.next = int16(i), nil, w.slots[i]
	if c.next != nil {
		c.next.prev = c
	}
	w.slots[i] = c
}

func (w *wheel) remove(c *Conn) {
	if c.slot < 0 {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.slot] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.slot, c.prev, c.next = -1, nil, nil
}

// wait is how many milliseconds are left until the next tick.
func (w *wheel) wait(now time.Duration) int {
	left := time.Duration(w.at+1)*tickLen - now
	return int(max(0, left+time.Millisecond-1) / time.Millisecond)
}

// turn calls fire for all that is due by now.
func (w *wheel) turn(now tick, fire func(*Conn)) {
	for w.at < now {
		w.at++
		for {
			c := w.slots[w.at%wheelSlots]
			if c == nil {
				break
			}
			w.remove(c)
			fire(c)
		}
	}
}

// schedule puts the connection where its next deadline is.
func (l *Loop) schedule(c *Conn) {
	var due tick
	for _, t := range [...]tick{c.beatAt, c.timerAt, c.deadline} {
		if t != 0 && (due == 0 || t < due) {
			due = t
		}
	}
	if due == 0 || c.state == stGone && c.deadline == 0 {
		l.wheel.remove(c)
		return
	}
	l.wheel.put(c, due)
}

func (l *Loop) turnWheel() {
	l.looked = l.engine.now()
	now := tick(l.looked / tickLen)
	if now == l.wheel.at {
		return
	}
	if now-l.wheel.at > stood {
		l.awake = now
	}
	l.resumeLate()
	l.wheel.turn(now, l.fire)
	l.lookAtWall(now)
	l.drainSome(now)
}

// fire does what is due on a connection.
func (l *Loop) fire(c *Conn) {
	now := l.wheel.at
	due := func(t *tick) bool {
		if *t == 0 || *t > now {
			return false
		}
		*t = 0
		return true
	}
	if due(&c.deadline) {
		l.overdue(c)
	}
	if due(&c.timerAt) {
		c.flags &^= fTimeOfDay
		if c.state == stOpen {
			l.handler.Timer(c)
		}
	}
	if due(&c.beatAt) && c.state == stOpen {
		l.beat(c)
	}
	l.schedule(c)
}

// now is the time since the engine was made, by the monotonic clock.
func (e *Engine) now() time.Duration { return time.Since(e.start) + tickLen }

func (l *Loop) tickNow() tick { return tick(l.engine.now() / tickLen) }

// tickAfter is the first tick that is at least d from now.
func (l *Loop) tickAfter(d time.Duration) tick {
	return tick(max(1, (l.engine.now()+d+tickLen-1)/tickLen))
}

// restFor is how many milliseconds the loop may sleep.
func (l *Loop) restFor() int {
	now := l.engine.now()
	l.looked = now
	ms := l.wheel.wait(now)
	if left, ok := l.rules.UntilDue(now); ok {
		ms = min(ms, int((left+time.Millisecond-1)/time.Millisecond))
	}
	return ms
}
