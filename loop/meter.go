package loop

import (
	"math"
	"time"

	"tapecast/loop/member"
)

const (
	// meterBurst is how much a connection may be sent at once, in time at its rate.
	meterBurst = time.Second
	// meterRest is how much it must be allowed to be sent, in time at its rate, before its rooms are
	// looked at again: it is sent some batches a second instead of single frames.
	meterRest = tickLen
	// meterTold is the least time between two calls of Config.Metered for a connection.
	meterTold = time.Second
)

// meter bounds how many bytes a second a connection is sent. Few connections need one: those whose
// account has such a limit. What is sent is counted, whatever it is. If it was too much, the frames of
// rooms wait, as if the client did not read: their cursors stay, and what becomes of members that lag is
// up to their class. Replies, pings and closes do not wait.
//
// Without a meter a visit pays for a look at flags that it looks at anyway. With one it goes by the time
// at which the turn began, and no clock is read.
type meter struct {
	rate  int64         // bytes a second
	paid  time.Duration // when everything that was sent so far is paid for, by Engine.now
	until tick          // when rooms are looked at again; 0: they are
	told  time.Duration // when Config.Metered was called last; 0: never

	next [ranks]int // by rank: the index of the member that the next visit begins with
}

// left returns how many bytes may be sent now.
func (m *meter) left(now time.Duration) int {
	free := now + meterBurst - max(m.paid, now)
	if free <= 0 {
		return 0
	}
	return int(min(free.Seconds()*float64(m.rate), math.MaxInt32))
}

// spend counts bytes that were sent.
func (m *meter) spend(n int, now time.Duration) {
	m.paid = max(m.paid, now) + time.Duration(float64(n)/float64(m.rate)*float64(time.Second))
}

// tired reports whether rooms must wait, and until when.
func (m *meter) tired(now time.Duration) (until tick, tired bool) {
	due := m.paid - meterBurst + meterRest
	if due <= now {
		return 0, false
	}
	return tick((due + tickLen - 1) / tickLen), true
}

// rank is the order in which rooms of a connection with a meter are sent.
type rank uint8

const (
	rankPrivate rank = iota
	rankSmall
	rankLarge
	ranks
)

func rankOf(m *member.Member) rank {
	switch {
	case m.Room().Class().Private():
		return rankPrivate
	case small(m):
		return rankSmall
	}
	return rankLarge
}

// gatherMetered is gather for a connection with a meter: rank by rank. A visit may be one frame, and many
// visits may pass until all is sent that some room has. So rooms of a rank take turns to be the first: the
// next visit begins after the first member that this one gathered from.
func (s *sender) gatherMetered(c *Conn, m *meter) {
	n := len(c.members)
	for r := range ranks {
		first, served := m.next[r], false
		for i := range n {
			k := (first + i) % n
			if member := &c.members[k]; member.Level() || rankOf(member) != r {
				continue
			}
			had := len(s.runs)
			goesOn := s.gatherMember(c, k)
			if len(s.runs) > had && !served {
				served, m.next[r] = true, k+1
			}
			if !goesOn {
				return
			}
		}
	}
}

// measure takes how many bytes a second the connection may be sent, which may have changed. What it was
// sent before is owed for no longer than what may come at once takes.
func (l *Loop) measure(c *Conn) {
	if c.state != stOpen || !c.is(fAuthenticated) {
		return // nothing is sent to it but answers
	}
	rate := l.engine.cfg.BytesPerSecond(c)
	had := c.is(fMetered)
	switch {
	case rate <= 0 && !had:
		return
	case rate <= 0:
		c.flags &^= fMetered | fBehind
		c.extras.meter = nil
		c.tidy()
	case !had:
		c.flags |= fMetered
		c.extrasOf().meter = &meter{rate: rate}
	case c.extras.meter.rate != rate:
		m := c.extras.meter
		m.rate, m.paid = rate, min(m.paid, l.looked+meterBurst)
	default:
		return
	}
	if c.is(fResting) {
		l.awaken(c)
	}
}

// Measure makes the loop ask Config.BytesPerSecond again.
func (c *Conn) Measure() { c.loop.post(event{kind: evMeasure, conn: c}) }

// Measure is Conn.Measure for every connection. It waits at most that long, and returns the names of the
// loops that have not ended by then; they go on.
func (e *Engine) Measure(wait time.Duration) (late []string) {
	return e.Each(func(c *Conn) { c.loop.measure(c) }, wait)
}

// metered returns how many bytes of rooms a visit may send to a connection with a meter, most at most.
// If it is 0, its rooms rest.
func (l *Loop) metered(c *Conn, most int) int {
	m := c.extras.meter
	until, tired := m.tired(l.looked)
	if !tired {
		return max(1, min(most, m.left(l.looked))) // one frame at least
	}
	m.until = until
	c.flags |= fResting | fBehind
	l.timers.schedule(c)
	if m.told == 0 || l.looked-m.told >= meterTold {
		m.told = l.looked
		l.engine.cfg.Metered(c)
	}
	return 0
}

// awaken lets the rooms of a connection be looked at again.
func (l *Loop) awaken(c *Conn) {
	c.flags &^= fResting
	if m := c.extras; m != nil && m.meter != nil {
		m.meter.until = 0
	}
	l.ready.add(c)
}

// unmeter forgets the meter of a connection that is being closed.
func (c *Conn) unmeter() { c.flags &^= fMetered | fResting | fBehind }
