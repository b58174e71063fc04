package scrape

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/rooms/testwait"
)

func TestParseMetrics(t *testing.T) {
	m,
		err := ParseMetrics(strings.NewReader("# HELP x\nprocess_cpu_seconds_total 1.5\n\na{b=\"c d\",e=\"}\"} 7 " +
		"1699\na{b=\"z\"} 1e3\n"))
	if err != nil || m[MetricCPU] != 1.5 || m[`a{b="c d",e="}"}`] != 7 || m.Sum("a") != 1007 {
		t.Fatalf("%v, %v", m, err)
	}
	for _, bad := range []string{"x", "x y", "x{a=\"b\"}"} {
		if _, err := ParseMetrics(strings.NewReader(bad)); err == nil {
			t.Fatalf("%q was read", bad)
		}
	}
}

// A process without /metrics is read by its number.
func TestProcessMetrics(t *testing.T) {
	s := New(Port{URL: fmt.Sprintf("pid:%d", os.Getpid())})
	first, err := s.Scrape(t.Context())
	if err != nil || first[MetricRSS] < 1<<20 {
		t.Fatalf("%v, %v", first, err)
	}
	for began := time.Now(); time.Since(began) < testwait.Patience; { // the clock ticks once CPU has been used
		if m, err := s.Scrape(t.Context()); err != nil {
			t.Fatal(err)
		} else if m[MetricCPU] > first[MetricCPU] {
			return
		}
	}
	t.Fatal("the CPU time stands still")
}

func TestParseProcess(t *testing.T) {
	stat := []byte("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 1000 10\n")
	m, err := parseProcess(stat, []byte("Name:\ta\nVmRSS:\t    2048 kB\n"))
	if err != nil || m[MetricCPU] != 2 || m[MetricRSS] != 2<<20 {
		t.Fatalf("%v, %v", m, err)
	}
	for _, bad := range [][2]string{{"", "VmRSS: 1 kB\n"}, {string(stat), "Name: a\n"}, {string(stat), "VmRSS: x kB\n"},
		{"7 (a) S 1 2 3 4 5 6 7 8 9 10 x y 0", "VmRSS: 1 kB\n"}} {
		if m, err := parseProcess([]byte(bad[0]), []byte(bad[1])); err == nil {
			t.Errorf("%q: %v", bad, m)
		}
	}
	var input *job.InputError
	for _, pid := range []string{"pid:x", "pid:-1", "pid:999999999"} {
		if _, err := New(Port{URL: pid}).Scrape(t.Context()); !errors.As(err, &input) {
			t.Errorf("%s: %v", pid, err)
		}
	}
}
