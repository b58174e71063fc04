package machine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads CLOCK_MONOTONIC in nanoseconds. All processes of a run share
// that clock, so that times cross pipes as plain numbers; Go's own monotonic
// readings have a private origin. A clock may be read by any goroutine.
type Clock struct {
	origin time.Time
	mono   int64
}

// NewClock ties Go's monotonic clock, which costs no system call, to
// CLOCK_MONOTONIC. Of several tries the one with the least time between the
// two readings wins: it errs by tens of nanoseconds.
func NewClock() Clock {
	var best Clock
	least := time.Duration(1<<63 - 1)
	for range 16 {
		a := time.Now()
		mono := ClockGettime(unix.CLOCK_MONOTONIC)
		b := time.Now()
		if d := b.Sub(a); d < least {
			least = d
			best = Clock{origin: a.Add(d / 2), mono: mono}
		}
	}
	return best
}

// Now reads the clock.
func (c Clock) Now() int64 { return c.mono + int64(time.Since(c.origin)) }

// Anchor returns what must be added to the monotonic clock to get nanoseconds
// since 1970. One process takes it once and hands it to the others, so that a
// step of the wall clock during a run moves nothing.
func Anchor() int64 {
	var best int64
	least := int64(1<<63 - 1)
	for range 16 {
		a := ClockGettime(unix.CLOCK_MONOTONIC)
		wall := ClockGettime(unix.CLOCK_REALTIME)
		b := ClockGettime(unix.CLOCK_MONOTONIC)
		if b-a < least {
			least = b - a
			best = wall - (a + (b-a)/2)
		}
	}
	return best
}

// ClockGettime reads one of the kernel's clocks, in ns.
func ClockGettime(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("BUG: cannot read clock: " + err.Error()) // only an unknown id fails
	}
	return ts.Nano()
}

// SleepUntil sleeps until the monotonic clock shows t. Go's own timers wake up
// to a millisecond late; this one is late by the timer slack, 50 µs.
func SleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// MonotonicIn is the monotonic clock's reading after d from now.
func MonotonicIn(d time.Duration) int64 {
	return ClockGettime(unix.CLOCK_MONOTONIC) + int64(d)
}

// PreferThread lets the calling thread, which its goroutine has locked, run
// before others. Where everything shares a few cores, the publisher and the
// clients of single messages would wait behind the bench's own crowd, which is
// on other machines in real life. It takes privileges; without them the lag that
// is reported is longer. A nice value alone does nothing here: the kernel's
// autogroups weigh it within a session only.
func PreferThread() {
	rr := unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if unix.SchedSetAttr(0, &rr, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	}
}

// Pause waits, unless the run is called off.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errors.New("called off")
	case <-time.After(d):
		return nil
	}
}

// CpuTime is what this process has used so far, in seconds.
func CpuTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("BUG: cannot read own CPU time: " + err.Error()) // a bad argument only
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
