package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric returns the sum of a metric over the series whose labels hold all given pieces.
func (g *gateway) metric(name string, labels ...string) float64 {
	g.t.Helper()
	_, body := g.get("/metrics")
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		at := strings.LastIndexByte(line, ' ')
		full, rest, _ := strings.Cut(line[:max(at, 0)], "{")
		if full != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			g.t.Fatalf("metric line %q: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found && len(labels) == 0 {
		g.t.Fatalf("no metric %s in\n%.3000s", name, body)
	}
	return sum
}

// forgets waits until the tapes are empty.
func (g *gateway) forgets() {
	g.t.Helper()
	eventually(g.t, time.Minute, "nothing is left on the tapes",
		func() bool { return g.metric("tapecast_tape_bytes") == 0 })
}

// descriptors returns how many descriptors the process has open.
func (g *gateway) descriptors() int {
	g.t.Helper()
	d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	return len(d)
}

// heap returns the bytes that are live after a garbage collection.
func (g *gateway) heap() float64 {
	g.t.Helper()
	status, body := g.get("/debug/pprof/heap?gc=1&debug=1") // of the heap before the profile is written
	_, after, ok := strings.Cut(body, "\n# HeapAlloc = ")
	n, err := strconv.ParseFloat(after[:max(0, strings.IndexByte(after, '\n'))], 64)
	if status != 200 || !ok || err != nil {
		g.t.Fatalf("no heap profile: %d %.200s %v", status, body, err)
	}
	return n
}

// clockAhead returns how far the process's clock is ahead of the test's.
func (g *gateway) clockAhead() time.Duration {
	g.t.Helper()
	var h struct{ Timestamp int64 }
	if _, body := g.get("/health"); json.Unmarshal([]byte(body), &h) != nil {
		g.t.Fatalf("no time in %.300s", body)
	}
	return time.Until(time.UnixMilli(h.Timestamp))
}
