package main

import (
	"strings"
	"testing"

	"tapecast/bench"
)

func oneRun(rate, cpu, p99 float64, why string) measured {
	l := &bench.Run{Seen: bench.Seen{CPU: cpu}}
	l.Latency.P99 = p99
	return measured{rate: rate, run: l, why: why}
}

// Ratios are within one turn, and the rate is the last that all kept up with.
func TestTurns(t *testing.T) {
	a := &contender{name: "a", runs: []measured{oneRun(5, 1, 1, ""), oneRun(10, 1, 1, ""), oneRun(20, 1, 1, "")}}
	b := &contender{name: "b",
		runs: []measured{oneRun(5, 1, 1, ""), oneRun(10, 1, 1, ""), oneRun(20, 1, 1, "50 % delivered")}}
	all := []*contender{a, b}
	if r := common(all); r != 10 {
		t.Errorf("the highest rate that both bear is %v, not 10", r)
	}
	// The machine is twice as slow in the second turn.
	a.turns = []measured{oneRun(10, 2, 10, ""), oneRun(10, 4, 20, ""), oneRun(10, 2, 10, "")}
	b.turns = []measured{oneRun(10, 3, 10, ""), oneRun(10, 6, 20, ""), oneRun(10, 4, 30, "")}
	text := renderTurns(all)
	for _, want := range []string{"3 turns", "| a | 2.00 µs | 1 |",
		"| b | 4.00 µs | 1.50 times (1.50 to 2.00) | 20 ms | 1.00 times (1.00 to 3.00) |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	b.runs = b.runs[:1]
	b.runs[0].why = "p99 2 s"
	if r := common(all); r != 0 {
		t.Errorf("nobody's rate is %v", r)
	}
	if got := renderTurns([]*contender{{name: "c"}}); got != "" {
		t.Errorf("without turns: %q", got)
	}
}
