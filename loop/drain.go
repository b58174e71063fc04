package loop

import (
	"context"
	"slices"
	"time"

	"tapecast/rooms/wire"
)

// drain spreads the closes of a loop's connections over time.
type drain struct {
	left   []*Conn
	total  int
	begin  tick
	over   tick
	code   uint16
	reason []byte
}

// Drain sends notice to every connection, as text, then closes them spread
// over the given time. It returns when none is left, or with ctx's error.
// StopAccepting should have been called before.
func (e *Engine) Drain(ctx context.Context, over time.Duration, notice []byte, code int, reason string) error {
	frame := wire.AppendFrame(nil, wire.OpText, notice)
	for _, l := range e.loops {
		l.post(event{kind: evDo, arg: func(l *Loop) {
			d := &drain{begin: l.tickNow(), over: ticks(over), code: uint16(code), reason: []byte(reason)}
			d.left = slices.Clone(l.conns)
			d.total = len(d.left)
			for _, c := range d.left {
				if c.state == stOpen && l.enqueue(c, slices.Clone(frame)) {
					l.ready.add(c)
				}
			}
			l.drain = d
			l.drainSome(l.tickNow())
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

// drainSome closes as many connections as are due by now.
func (l *Loop) drainSome(now tick) {
	d := l.drain
	if d == nil {
		return
	}
	due := d.total
	if passed := now - d.begin; passed < d.over {
		due = int(uint64(d.total) * uint64(passed) / uint64(d.over))
	}
	for len(d.left) > 0 && d.total-len(d.left) < due {
		c := d.left[0]
		d.left[0] = nil
		d.left = d.left[1:]
		if c.state == stNew {
			l.hangUp(c)
		}
		l.close(c, d.code, d.reason)
	}
	// Who came through the door as it closed is sent away as well.
	if len(d.left) == 0 && now > d.begin+d.over {
		for _, c := range slices.Clone(l.conns) {
			l.close(c, d.code, d.reason)
		}
	}
}
