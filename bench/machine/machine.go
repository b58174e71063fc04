package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
)

// Clock reads CLOCK_MONOTONIC in nanoseconds. All processes of a run share that clock, so
// times cross pipes as plain numbers. Go's own monotonic readings have a private origin.
// Any goroutine may read a Clock.
type Clock struct {
	origin time.Time
	mono   int64
}

// NewClock ties Go's monotonic clock, which costs no system call, to CLOCK_MONOTONIC. Of
// several tries it takes the one with the least time between the two readings. The error
// is tens of nanoseconds.
func NewClock() Clock {
	begun := time.Now()
	since, mono := tie(func() int64 { return int64(time.Since(begun)) }, unix.CLOCK_MONOTONIC)
	return Clock{origin: begun.Add(time.Duration(since)), mono: mono}
}

// tie reads one clock between two readings of another, 16 times, and returns the pair that took the least
// time. The first is the middle of its two readings.
func tie(outer func() int64, inner int32) (out, in int64) {
	least := int64(1<<63 - 1)
	for range 16 {
		a := outer()
		t := ClockGettime(inner)
		if d := outer() - a; d < least {
			least, out, in = d, a+d/2, t
		}
	}
	return out, in
}

// Now reads the clock.
func (c Clock) Now() int64 { return c.mono + int64(time.Since(c.origin)) }

// Anchor returns what must be added to the monotonic clock to get nanoseconds since 1970.
// One process takes it once and hands it to the others, so a step of the wall clock during
// a run changes nothing.
func Anchor() int64 {
	mono, wall := tie(func() int64 { return ClockGettime(unix.CLOCK_MONOTONIC) }, unix.CLOCK_REALTIME)
	return wall - mono
}

// ClockGettime reads one of the kernel's clocks, in ns.
func ClockGettime(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("BUG: cannot read clock: " + err.Error()) // only an unknown id fails
	}
	return ts.Nano()
}

// SleepUntil sleeps until the monotonic clock shows t. Go's own timers fire up to a
// millisecond late. This sleep is late by the timer slack, 50 µs.
func SleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// MonotonicIn returns what the monotonic clock will read d from now.
func MonotonicIn(d time.Duration) int64 {
	return ClockGettime(unix.CLOCK_MONOTONIC) + int64(d)
}

// PreferThread makes the calling thread run ahead of others. Its goroutine must have
// locked it. Where everything shares a few cores, the publisher and the clients of single
// messages would wait behind the bench's own crowd, which is on other machines in real
// life. It takes privileges. Without them the reported lag is longer. A nice value alone
// does nothing here: the kernel's autogroups weigh it only within one terminal's processes.
func PreferThread() {
	rr := unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if unix.SchedSetAttr(0, &rr, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	}
}

// Pause sleeps, and returns an error if the run is called off meanwhile.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errors.New("called off")
	case <-time.After(d):
		return nil
	}
}

// Until looks at intervals whether something is done, and reports whether it was in time.
func Until(ctx context.Context, atMost, every time.Duration, done func() (bool, error)) (inTime bool, err error) {
	for deadline := MonotonicIn(atMost); ; {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		if MonotonicIn(0) > deadline {
			return false, nil
		}
		if err := Pause(ctx, every); err != nil {
			return false, err
		}
	}
}

// CpuTime returns the CPU time that this process has used so far, in seconds.
func CpuTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("BUG: cannot read own CPU time: " + err.Error()) // only a bad argument fails
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// ProcField returns the value of a line "name: value" in a file of /proc; "": there is none.
func ProcField(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if field, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(field) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// SpareDescriptors is what a worker needs besides its clients: pipes, epoll sets, Go's own.
const SpareDescriptors = 64

// RaiseDescriptors raises the soft limit to the hard one. Go gives its children the old one.
func RaiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // on failure the checks before still hold
	}
}

// CheckDescriptors returns an error if one of so many processes cannot hold its clients.
func CheckDescriptors(clients, procs int) error {
	return DescriptorsFor(clients, procs, DescriptorLimit())
}

// DescriptorLimit returns how many descriptors a process here may have.
func DescriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		panic("BUG: cannot read the limit of descriptors: " + err.Error()) // only a bad argument fails
	}
	return int(min(r.Max, 1<<30))
}

// DescriptorsFor is CheckDescriptors with a given limit.
func DescriptorsFor(clients, procs, limit int) error {
	most := limit - SpareDescriptors
	each := (clients + procs - 1) / procs
	if each <= most {
		return nil
	}
	if most <= 0 {
		return job.Inputf("a limit of %d descriptors is too small: raise it (ulimit -Hn)", limit)
	}
	return job.Inputf("%d clients in %d process(es) need %d descriptors each, but the limit is %d, enough for %d "+
		"clients: use --procs %d, or raise the limit (ulimit -Hn)",
		clients, procs, each+SpareDescriptors, limit, most*procs, (clients+most-1)/most)
}

// On returns a function that starts a process on the given processors. None: on all.
func On(cpus []int) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error { return startOn(cpus, cmd) }
}

// startOn starts a process. Its threads inherit the affinity of the thread that forks it.
func startOn(cpus []int, cmd *exec.Cmd) error {
	if len(cpus) == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return fmt.Errorf("cannot ask for the thread's processors: %w", err)
	}
	for _, cpu := range cpus {
		some.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("cannot run on processors %d: %w", cpus, err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &was) }() // restores the thread's own
	return cmd.Start()
}

// StartLast starts a process that runs only when no other wants to. Hostile clients and
// their sink have machines of their own in real life. So what they take of the bench's
// core must not count as the gateway's. A child inherits the policy of the thread that
// forks it. Leaving the policy takes privileges, so that thread is not used again.
func StartLast(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil {
			started <- fmt.Errorf("cannot give way to others: %w", err)
			return
		}
		started <- cmd.Start()
	}()
	return <-started
}
