package machine

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

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
