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
	// A client that came through the door as it closed is sent away as well.
	if len(d.left) == 0 && now > d.begin+d.over {
		for _, c := range slices.Clone(l.life.conns) {
			l.life.close(c, d.code, d.reason)
		}
	}
}
