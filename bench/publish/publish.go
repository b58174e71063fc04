package publish

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// Sink takes what a publisher sends.
type Sink interface {
	// Put hands over one message. It copies the value. The key may be nil.
	Put(room string, key, value []byte) error
	// Flush sends what was put, and returns how long the other side held it up.
	Flush() (blocked time.Duration, err error)
	// Close waits until everything is taken, and returns how many messages were.
	Close(ctx context.Context) (int64, error)
}

// Publication is what a publisher sends: message n to the room of its stream, with the stream's key.
type Publication struct {
	Schedule   job.Schedule
	Anchor     int64
	Total      int64
	Base       int64 // number of message 0, in the values
	Shape      job.ValueShape
	Template   *job.ValueTemplate // around each value; nil: none
	Assignment job.Assignment
	Longest    *atomic.Int64 // the publisher's longest lag, readable while it runs. nil: not wanted

	rooms []string // by stream
	keys  [][]byte
}

// prepare makes rooms and keys before anything is due.
func (p *Publication) prepare() {
	p.Assignment.Prepare()
	for s := range p.Assignment.Streams {
		p.rooms = append(p.rooms, p.Assignment.Room(s))
		p.keys = append(p.keys, []byte(p.Assignment.Key(s)))
	}
}

// Published is how well a publisher kept its schedule.
type Published struct {
	Messages int64     `json:"messages"`
	Lag      *job.Hist `json:"-"` // from due until handed over, each message
	// Late is the part of Lag that is the bench's own: it woke up late. The rest is time
	// that the other side held the publisher up.
	Late    *job.Hist `json:"-"`
	Blocked float64   `json:"blocked_s"`
}

// Publish sends each message when it is due, or at once if overdue. It ends early with ctx.
func (p *Publication) Publish(ctx context.Context, to Sink) (Published, error) {
	runtime.LockOSThread() // never unlocked: the thread's settings end with it
	machine.PreferThread()
	// Timers fire up to 50 µs late by default, and the gateway would be blamed for that.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // on failure the slack stays as it is
	p.prepare()
	clock := machine.NewClock()
	out := Published{Lag: job.NewHist(), Late: job.NewHist()}
	var value, wrapped []byte
	var free int64 // when the last flush was done, ns since 1970
	for n := int64(0); n < p.Total; {
		due := p.Schedule.Due(n)
		now := clock.Now() + p.Anchor
		for ; now < due; now = clock.Now() + p.Anchor {
			if ctx.Err() != nil {
				return p.end(ctx, out, to)
			}
			machine.SleepUntil(min(due, now+1e8) - p.Anchor)
		}
		if ctx.Err() != nil {
			return p.end(ctx, out, to)
		}
		from := n
		for k := min(p.Schedule.Before(now), p.Total, n+maxBurst); n < k; n++ {
			value = p.Shape.Make(value[:0], p.Schedule.Due(n), p.Base+n)
			stream, _ := p.Assignment.Of(n)
			record := value
			if p.Template != nil {
				wrapped = p.Template.Fill(wrapped[:0], value, string(p.keys[stream]), n)
				record = wrapped
			}
			if err := to.Put(p.rooms[stream], p.keys[stream], record); err != nil {
				return out, err
			}
		}
		blocked, err := to.Flush()
		if err != nil {
			return out, err
		}
		done := clock.Now() + p.Anchor
		noteLag(p.Longest, done-p.Schedule.Due(from))
		for ; from < n; from++ {
			due := p.Schedule.Due(from)
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

func (p *Publication) end(ctx context.Context, out Published, to Sink) (Published, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	taken, err := to.Close(ctx)
	if err == nil && taken != out.Messages {
		err = fmt.Errorf("%d messages were published, but %d were taken", out.Messages, taken)
	}
	return out, err
}

// closeTimeout is how long the other side has to take the last messages.
const closeTimeout = 30 * time.Second

// noteLag keeps the publisher's longest lag. Only the publisher writes it.
func noteLag(longest *atomic.Int64, lag int64) {
	if longest != nil && lag > longest.Load() {
		longest.Store(lag)
	}
}
