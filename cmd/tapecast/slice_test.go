package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The kernel shows each thread's slice.
func TestShortSlices(t *testing.T) {
	slice := regexp.MustCompile(`(?m)^se\.slice\s*:\s*(\d+)$`)
	if own, err := os.ReadFile("/proc/thread-self/sched"); err != nil || !slice.Match(own) {
		t.Skip("the kernel does not say what slices threads have")
	}
	shortSlices()
	all, err := filepath.Glob("/proc/self/task/*/sched")
	if err != nil || len(all) < 2 {
		t.Fatalf("%d threads, %v", len(all), err)
	}
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		if m := slice.FindSubmatch(b); m == nil || string(m[1]) != "100000" {
			t.Errorf("%s says %s", f, m)
		}
	}
}
