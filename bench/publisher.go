package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// sink takes what a publisher sends.
type sink interface {
	// put hands over one message; value is copied. key may be nil.
	put(room string, key, value []byte) error
	// flush sends what was put, and says how long it was held up by the other side.
	flush() (blocked time.Duration, err error)
	// close waits until all is taken, and returns how many messages were.
	close(ctx context.Context) (int64, error)
}

// publication is what a publisher does: message n goes to the room of its stream,
// with that stream's key.
type publication struct {
	schedule Schedule
	anchor   int64
	total    int64
	base     int64 // of the numbers that the values carry
	shape    valueShape
	template *valueTemplate // around each value; nil: none
	deal     deal
	longest  *atomic.Int64 // where the longest lag is told meanwhile. nil: nowhere

	rooms []string // by stream
	keys  [][]byte
}

// prepare makes the names before anything is due.
func (p *publication) prepare() {
	p.deal.prepare()
	for s := range p.deal.Streams {
		p.rooms = append(p.rooms, p.deal.room(s))
		p.keys = append(p.keys, []byte(p.deal.key(s)))
	}
}

// Published says how a publisher kept its schedule.
type Published struct {
	Messages int64 `json:"messages"`
	Lag      *Hist `json:"-"` // from due until handed over, each message
	// Late is the part of Lag that is the bench's own: it woke up late. What is
	// not in it is time that the other side held the publisher up.
	Late    *Hist   `json:"-"`
	Blocked float64 `json:"blocked_s"`
}

// publish sends all messages, each when it is due or, when that is past, at
// once. It returns early with ctx.
func (p *publication) publish(ctx context.Context, to sink) (Published, error) {
	runtime.LockOSThread() // never unlocked: the thread's settings end with it
	preferThread()
	// Timers fire up to 50 µs late by default, which would be counted as the gateway's.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // at worst it stays so
	p.prepare()
	clock := newClock()
	out := Published{Lag: NewHist(), Late: NewHist()}
	var value, wrapped []byte
	var free int64 // when the last flush was done, ns since 1970
	for n := int64(0); n < p.total; {
		due := p.schedule.Due(n)
		now := clock.now() + p.anchor
		for ; now < due; now = clock.now() + p.anchor {
			if ctx.Err() != nil {
				return p.end(ctx, out, to)
			}
			sleepUntil(min(due, now+1e8) - p.anchor)
		}
		if ctx.Err() != nil {
			return p.end(ctx, out, to)
		}
		from := n
		for k := min(p.schedule.Before(now), p.total, n+maxBurst); n < k; n++ {
			value = p.shape.make(value[:0], p.schedule.Due(n), p.base+n)
			stream, _ := p.deal.of(n)
			record := value
			if p.template != nil {
				wrapped = p.template.fill(wrapped[:0], value, string(p.keys[stream]), n)
				record = wrapped
			}
			if err := to.put(p.rooms[stream], p.keys[stream], record); err != nil {
				return out, err
			}
		}
		blocked, err := to.flush()
		if err != nil {
			return out, err
		}
		done := clock.now() + p.anchor
		noteLag(p.longest, done-p.schedule.Due(from))
		for ; from < n; from++ {
			due := p.schedule.Due(from)
			out.Lag.Record(done - due)
			out.Late.Record(now - max(due, free))
		}
		out.Messages = n
		out.Blocked += blocked.Seconds()
		free = done
	}
	return p.end(ctx, out, to)
}

// maxBurst bounds what is sent at once when the publisher is behind.
const maxBurst = 1024

func (p *publication) end(ctx context.Context, out Published, to sink) (Published, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	taken, err := to.close(ctx)
	if err == nil && taken != out.Messages {
		err = fmt.Errorf("%d messages were published, but %d were taken", out.Messages, taken)
	}
	return out, err
}

// closeTimeout is how long the other side has to take the last messages.
const closeTimeout = 30 * time.Second
