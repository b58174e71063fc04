package scrape

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"tapecast/bench/job"
)

// PidPrefix before a number names a process, in place of the address of metrics.
const PidPrefix = "pid:"

// clockTick is the unit of the times in /proc/PID/stat. Linux gives user space 100 ticks a
// second, whatever the kernel's own clock is (proc_pid_stat(5)).
const clockTick = 0.01

// processMetrics reads the CPU time and memory of a process without /metrics of the known form.
func processMetrics(pid string) (Metrics, error) {
	if n, err := strconv.Atoi(pid); err != nil || n < 1 {
		return nil, job.Inputf("--admin %s%s does not name a process: give a number", PidPrefix, pid)
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

// parseProcess takes the user and system time from a process's stat, and the resident
// memory from its status. The second field of stat is the process's name in parentheses,
// which may hold anything.
func parseProcess(stat, status []byte) (Metrics, error) {
	const utime, stime = 14 - 3, 15 - 3 // counted from the field behind the name
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) <= stime {
		return nil, fmt.Errorf("no times in a process's stat: %.80q", stat)
	}
	user, err1 := strconv.ParseUint(f[utime], 10, 64)
	system, err2 := strconv.ParseUint(f[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("the times in a process's stat are not numbers: %.80q", stat)
	}
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("VmRSS in a process's status is not a number: %q", line)
		}
		return Metrics{MetricCPU: float64(user+system) * clockTick, MetricRSS: float64(kb) * 1024}, nil
	}
	return nil, fmt.Errorf("no VmRSS in a process's status: has the process ended?")
}
