package scrape

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"tapecast/bench/job"
)

// PidPrefix before a number stands for a process, where the address of a
// server's metrics would.
const PidPrefix = "pid:"

// clockTick is the unit of /proc/PID/stat's times: Linux gives user space 100 a
// second whatever its own clock (proc_pid_stat(5)).
const clockTick = 0.01

// processMetrics reads the CPU time and memory of a process that has no
// /metrics of the form that is read elsewhere.
func processMetrics(pid string) (Metrics, error) {
	if n, err := strconv.Atoi(pid); err != nil || n < 1 {
		return nil, job.Inputf("--admin %s%s names no process: a number is wanted", PidPrefix, pid)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, job.Inputf("cannot read process %s: %s (give a process that runs with --admin pid:N)", pid,
			job.RootOf(err))
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return nil, job.Inputf("cannot read process %s: %s", pid, job.RootOf(err))
	}
	return parseProcess(stat, status)
}

// parseProcess takes the user and system time out of a process's stat, whose
// second field is its name, in parentheses, and may hold anything; and the
// resident memory out of its status.
func parseProcess(stat, status []byte) (Metrics, error) {
	const utime, stime = 14 - 3, 15 - 3 // as counted from the field behind the name
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) <= stime {
		return nil, fmt.Errorf("a process's stat without times: %.80q", stat)
	}
	user, err1 := strconv.ParseUint(f[utime], 10, 64)
	system, err2 := strconv.ParseUint(f[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("a process's stat with times that are no numbers: %.80q", stat)
	}
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a process's status with a VmRSS that is no number: %q", line)
		}
		return Metrics{MetricCPU: float64(user+system) * clockTick, MetricRSS: float64(kb) * 1024}, nil
	}
	return nil, fmt.Errorf("a process's status without VmRSS: has it ended?")
}
