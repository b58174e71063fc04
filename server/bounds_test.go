package server

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tapecast/loop"
)

// TestBoundsTable: each row of the table of bounds names a metric that /metrics has
// and a test that this repository has.
func TestBoundsTable(t *testing.T) {
	page, err := os.ReadFile("web/docs/bounds.md")
	if err != nil {
		t.Fatal(err)
	}
	_, _, metrics := startServer(t).ask(t, "GET", "/metrics", "")
	var secure strings.Builder // these are there where the public port is wss
	metricWriter{&secure}.figures(loop.TLSStats{})
	metrics += "\n" + secure.String()
	tests := testNames(t)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| structure ") {
			continue
		}
		if rows++; len(cells) != 6 {
			t.Errorf("%d cells in %q: a row has six", len(cells), line)
			continue
		}
		shown, reached := ticked(cells[4]), ticked(cells[5])
		if len(shown) == 0 || len(reached) == 0 {
			t.Errorf("%s: a metric and a test in backquotes are missing", strings.TrimSpace(cells[0]))
		}
		for _, name := range shown {
			if !strings.Contains(metrics, "\n"+name+" ") && !strings.Contains(metrics, "# TYPE "+name+" ") {
				t.Errorf("%s: /metrics has no %s", strings.TrimSpace(cells[0]), name)
			}
		}
		for _, name := range reached {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", strings.TrimSpace(cells[0]), name)
			}
		}
	}
	if rows == 0 {
		t.Error("the table has no rows")
	}
}

// TestPagesNameTests: each test that a page names in backquotes is one of this repository.
func TestPagesNameTests(t *testing.T) {
	pages, err := filepath.Glob("web/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages: %v", err)
	}
	tests, named := testNames(t), 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range ticked(string(text)) {
			if !strings.HasPrefix(name, "Test") {
				continue
			}
			if named++; !tests[name] {
				t.Errorf("%s: there is no test %s", page, name)
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test")
	}
}

// ticked are the words of a text that stand in backquotes.
func ticked(text string) (words []string) {
	for i, w := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, w)
		}
	}
	return words
}

// testNames are the names of all test functions of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names, decl := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range decl.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
