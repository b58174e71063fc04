package bench

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

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
