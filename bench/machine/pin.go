package machine

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// On starts processes on the processors given; none: wherever the kernel likes.
func On(cpus []int) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error { return startOn(cpus, cmd) }
}

// startOn starts a process on the processors given; none: on all. A child has the affinity of the
// thread that forks it, and so have all its threads.
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
	defer func() { _ = unix.SchedSetaffinity(0, &was) }() // back to what it had
	return cmd.Start()
}

// StartLast starts a process that runs when no other wants to: hostile clients and their sink
// have machines of their own in real life, and what they take of the bench's core is not the
// gateway's doing. The policy is inherited from the thread that forks, and takes
// privileges to leave: that thread ends with it.
func StartLast(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil {
			started <- fmt.Errorf("cannot give way to others: %w", err)
			return
		}
		started <- cmd.Start()
	}()
	return <-started
}
