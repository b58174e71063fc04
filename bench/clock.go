package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock reads CLOCK_MONOTONIC in nanoseconds. All processes of a run share
// that clock, so that times cross pipes as plain numbers; Go's own monotonic
// readings have a private origin. A clock may be read by any goroutine.
type clock struct {
	origin time.Time
	mono   int64
}

// newClock ties Go's monotonic clock, which costs no system call, to
// CLOCK_MONOTONIC. Of several tries the one with the least time between the
// two readings wins: it errs by tens of nanoseconds.
func newClock() clock {
	var best clock
	least := time.Duration(1<<63 - 1)
	for range 16 {
		a := time.Now()
		mono := clockGettime(unix.CLOCK_MONOTONIC)
		b := time.Now()
		if d := b.Sub(a); d < least {
			least = d
			best = clock{origin: a.Add(d / 2), mono: mono}
		}
	}
	return best
}

func (c clock) now() int64 { return c.mono + int64(time.Since(c.origin)) }

// anchor returns what must be added to the monotonic clock to get nanoseconds
// since 1970. One process takes it once and hands it to the others, so that a
// step of the wall clock during a run moves nothing.
func anchor() int64 {
	var best int64
	least := int64(1<<63 - 1)
	for range 16 {
		a := clockGettime(unix.CLOCK_MONOTONIC)
		wall := clockGettime(unix.CLOCK_REALTIME)
		b := clockGettime(unix.CLOCK_MONOTONIC)
		if b-a < least {
			least = b - a
			best = wall - (a + (b-a)/2)
		}
	}
	return best
}

func clockGettime(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("BUG: cannot read clock: " + err.Error()) // only an unknown id fails
	}
	return ts.Nano()
}

// sleepUntil sleeps until the monotonic clock shows t. Go's own timers wake up
// to a millisecond late; this one is late by the timer slack, 50 µs.
func sleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// monotonicIn is the monotonic clock's reading after d from now.
func monotonicIn(d time.Duration) int64 {
	return clockGettime(unix.CLOCK_MONOTONIC) + int64(d)
}

// preferThread lets the calling thread, which its goroutine has locked, run
// before others. Where everything shares a few cores, the publisher and the
// clients of single messages would wait behind the bench's own crowd, which is
// on other machines in real life. It takes privileges; without them the lag that
// is reported is longer. A nice value alone does nothing here: the kernel's
// autogroups weigh it within a session only.
func preferThread() {
	rr := unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if unix.SchedSetAttr(0, &rr, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	}
}
