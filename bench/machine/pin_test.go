package machine

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStartOn(t *testing.T) {
	f := func(cpus []int, want string) {
		t.Helper()
		var before, after unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
		var out strings.Builder
		cmd.Stdout = &out
		if err := startOn(cpus, cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, list, _ := strings.Cut(out.String(), ":"); want != "" && strings.TrimSpace(list) != want {
			t.Errorf("on %v: may run on %s", cpus, list)
		}
		if err := unix.SchedGetaffinity(0, &after); err != nil {
			t.Fatal(err)
		}
		if before != after {
			t.Errorf("on %v: this thread's processors are changed", cpus)
		}
	}
	f([]int{0}, "0")
	f(nil, "")
	if err := startOn([]int{1000}, exec.Command("true")); err == nil {
		t.Error("started on a processor that is not there")
	}
}

// TestStartLast: the process and its children give way, and no other process does.
func TestStartLast(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sh -c 'cat /proc/self/sched' | grep policy")
	var out strings.Builder
	cmd.Stdout = &out
	if err := StartLast(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, policy, _ := strings.Cut(out.String(), ":"); strings.TrimSpace(policy) != strconv.Itoa(unix.SCHED_IDLE) {
		t.Errorf("its policy: %q", out.String())
	}
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Policy == unix.SCHED_IDLE {
		t.Errorf("this thread gives way too, or cannot tell: %v", err)
	}
}
