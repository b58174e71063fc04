package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

type fakeResult struct {
	Legs []int `json:"legs"`
}

func (fakeResult) WriteText(w io.Writer) error {
	_, err := io.WriteString(w, "measured\n")
	return err
}

func (fakeResult) WriteHTML(w io.Writer, h bench.Header) error {
	_, err := io.WriteString(w, strings.Join(h.Command, " "))
	return err
}

// A result goes to the given files, without secrets.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	out, html := filepath.Join(dir, "a.json"), filepath.Join(dir, "a.html")
	var text strings.Builder
	root := newRoot(strings.NewReader(""), &text, io.Discard)
	var flags targetFlags
	fake := &cobra.Command{Use: "fake", RunE: func(cmd *cobra.Command, _ []string) error {
		return report(cmd, flags.json, fakeResult{}, nil)
	}}
	flags.add(fake)
	fake.Flags().String("out", "", "")
	fake.Flags().String("html", "", "")
	root.AddCommand(fake)
	root.SetArgs([]string{"fake", "--secret", "hidden", "--out", out, "--html", html, "--sources", "127.0.0.2"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(html)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != "measured\n" || !strings.Contains(string(a), `"legs": null`) ||
		!strings.Contains(string(a), `"version": 1`) || !strings.Contains(string(b), "tapecast-bench fake") {
		t.Fatalf("%s\n%s\n%s", text.String(), a, b)
	}
	if strings.Contains(string(a)+string(b), "hidden") || !strings.Contains(string(b), "--sources=127.0.0.2") {
		t.Fatalf("%s\n%s", a, b)
	}
}

func TestCompareBadInput(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, code, err := run(t, append([]string{"compare"}, args...)...)
		if code != exitInput || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: code %d, %v; want %q", args, code, err, want)
		}
	}
	f("accepts 2 arg")
	f("no such file", "/no/such/a.json", "/no/such/b.json")
	_, code, err := run(t, "fanout", "--out", "/no/such/directory/a.json")
	if code != exitInput || !strings.Contains(err.Error(), "--out: ") {
		t.Errorf("code %d, %v", code, err)
	}
}
