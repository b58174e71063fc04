package chart

import (
	"encoding/json"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestAdd(t *testing.T) {
	f := func(log bool, want string, points ...Point) {
		t.Helper()
		c := Chart{Title: "t", X: "x", Log: log, Lines: []Line{}}
		c.Add("l", points)
		b, err := json.Marshal(c.Lines)
		if err != nil || string(b) != want {
			t.Errorf("%v, %s; want %s", err, b, want)
		}
	}
	f(false, `[{"label":"l","points":[[1,2],[3,0]]}]`, Point{1, 2}, Point{3, 0})
	f(true, `[{"label":"l","points":[[1,2]]}]`, Point{1, 2}, Point{3, 0}, Point{4, -1})
	f(false, `[{"label":"l","points":[[1,2]]}]`, Point{1, 2}, Point{2, math.NaN()}, Point{3, math.Inf(1)})
	f(true, `[]`, Point{1, 0})
	f(false, `[]`)
}

func TestNines(t *testing.T) {
	f := func(percent float64, n int64, want float64) {
		t.Helper()
		if got := Nines(percent, n); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v of %d is at %v, not %v", percent, n, got, want)
		}
	}
	f(0, 10, 0)
	f(90, 10, 1)
	f(99.9, 10, 3)
	f(100, 10_000, 4)
	f(100, 0, 0)
}

// A page may hold the script and the style as they are: neither ends its element, nor
// asks for anything from elsewhere.
func TestEmbedded(t *testing.T) {
	for name, s := range map[string]string{"chart.js": string(Script()), "chart.css": string(Style())} {
		for _, bad := range []string{"</script", "</style", "src=", "url(", "@import", "http:", "https:"} {
			if strings.Contains(s, bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
	}
	for i := range 6 { // light and dark
		if n := strings.Count(style, "--chart-"+string(rune('0'+i))+":"); n != 2 {
			t.Errorf("colour %d has %d values, not one for each scheme", i, n)
		}
	}
}

// What chart.js computes is right, as far as it needs no browser.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node")
	}
	out, err := exec.Command("node", "testdata/chart_test.js").CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(out)), "passed") {
		t.Fatalf("%v\n%s", err, out)
	}
}
