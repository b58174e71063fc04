package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMetricsTable: metrics.txt describes each metric that the code names, once, and no other. Its
// lines are sorted, and kinds fit names.
func TestMetricsTable(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	// The others hold figures with the tag metric.
	sources = append(sources, "session/handler.go", "../loop/stats.go", "../loop/walks.go", "../loop/gate_verdicts.go",
		"../loop/member/member.go", "../loop/tlsconn/handshakes.go", "../rooms/stats.go", "../ingest/consumer.go",
		"../ingest/recall_hand.go")
	named := map[string]bool{}
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(tapecast_[a-z_]+)"`).FindAllSubmatch(text, -1) {
			named[string(m[1])] = named[string(m[1])] || !strings.HasSuffix(file, "_test.go")
		}
	}
	lines := slices.Collect(strings.Lines(metricText))
	if !slices.IsSorted(lines) || len(lines) != len(metricHelp) || len(lines) < 150 {
		t.Errorf("%d lines are not sorted, or some of %d names are there twice", len(lines), len(metricHelp))
	}
	for name, rest := range metricHelp {
		kind, help, _ := strings.Cut(rest, " ")
		if !named[name] {
			t.Errorf("%s is in no source", name)
		}
		if !strings.HasSuffix(help, ".") || (kind == "counter") != strings.HasSuffix(name, "_total") ||
			!slices.Contains([]string{"counter", "gauge", "histogram"}, kind) {
			t.Errorf("%s is a %q: %s", name, kind, help)
		}
	}
	for name, shipped := range named {
		if shipped && metricHelp[name] == "" {
			t.Errorf("%s has no line in metrics.txt", name)
		}
	}
}
