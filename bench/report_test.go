package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
)

// sampleRun returns a run of several seconds. Its figures are multiplied by a factor.
func sampleRun(name string, by float64) *Run {
	h := job.NewHist()
	for k := range int64(20_000) {
		h.Record(k * int64(by*1000))
	}
	g := &Run{
		Name: name, Seen: Seen{Clients: 100, Delivered: 1000 * by, Bytes: 128_000 * by, CPU: 2 / by, Cores: 0.5 * by,
			RSS: 50e6 * by, RSSPerConnection: 900},
		Counts: job.Counts{Want: 20_000, Unique: 20_000}, Latency: h.Quantiles(),
		Curve: curve(h), Timeline: &Timeline{Interval: 1},
	}
	for k := range 10 {
		at := float64(k)
		g.Timeline.Clients = append(g.Timeline.Clients,
			ClientPoint{At: at, Messages: 2000, Delivered: 1000 * by, Bytes: 128_000 * by, Timed: 2000, P50: by,
				P99: 10 * by, Max: 20 * by, Connected: 100})
		g.Timeline.Gateway = append(g.Timeline.Gateway,
			GatewayPoint{At: at, Cores: 0.5 * by, RSS: 50e6 * by, Heap: 20e6})
	}
	return g
}

func sampleResult(by ...float64) *FanoutResult {
	f := &FanoutResult{Scenario: "fanout", Clients: 100, Rooms: []string{"prices"}, Rate: 10, Size: 128, Seconds: 10,
		Medians: map[string]Medians{}}
	for _, x := range by {
		f.Runs = append(f.Runs, sampleRun(runGateway, x))
	}
	f.summarize()
	return f
}

func sampleFile(t *testing.T, name string, f *FanoutResult, edit func(*Header)) string {
	t.Helper()
	h := NewHeader([]string{"tapecast-bench", "fanout", "--rate=10"}, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	if edit != nil {
		edit(&h)
	}
	var b bytes.Buffer
	if err := WriteJSON(&b, h, f); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A result file can be read again, and holds where it was measured.
func TestResultFile(t *testing.T) {
	file := sampleFile(t, "a.json", sampleResult(1, 2), nil)
	r, err := ReadResult(file)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Machine
	if r.Version != 1 || r.Command[1] != "fanout" || r.Start.Year() != 2026 || m.Cores < 1 || m.CPU == "" ||
		!strings.HasPrefix(m.Kernel, "Linux ") || m.Memory < 1<<20 || !strings.HasPrefix(m.Go, "go") {
		t.Fatalf("%+v", r.Header)
	}
	if len(r.Runs) != 2 || r.Runs[1].Delivered != 2000 || len(r.Runs[0].Timeline.Clients) != 10 ||
		r.Medians[runGateway].Runs != 2 {
		t.Fatalf("%+v", r.FanoutResult)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("{\n  \"version\": 1,\n")) || !json.Valid(b) {
		t.Fatalf("%.60s", b)
	}
}

func TestCompare(t *testing.T) {
	a := sampleFile(t, "a.json", sampleResult(1, 2, 4), nil)
	b := sampleFile(t, "b.json", sampleResult(3, 4, 5), func(h *Header) { h.Machine.Cores = 99 })
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Runs[0].Figures[0]
	if got.Values != [2]float64{2000, 4000} || got.Ratio != 2 || got.Least != 0.75 || got.Most != 5 {
		t.Fatalf("%+v", got)
	}
	if cpu := c.Runs[0].Figures[2]; cpu.Values != [2]float64{1, 0.5} || cpu.Ratio != 0.5 {
		t.Fatalf("%+v", cpu)
	}
	var text strings.Builder
	if err := c.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"medians of 3 and 3 runs", "0.750 to 5.000", "latency p99.9", "resident memory",
		"not the same cores", "and 99"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestCompareBadInput(t *testing.T) {
	good := sampleFile(t, "a.json", sampleResult(1), nil)
	storm := sampleResult(1)
	storm.Scenario = "storm"
	raw := sampleResult(1)
	raw.Runs[0].Name = runRawsend
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("fanout"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want, file string) {
		t.Helper()
		_, err := Compare(good, file)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q in one line", err, want)
		}
	}
	f("no such file", "/no/such/file")
	f("not a result file", text)
	f("version 2", sampleFile(t, "b.json", sampleResult(1), func(h *Header) { h.Version = 2 }))
	f("version 0", sampleFile(t, "b.json", sampleResult(1), func(h *Header) { h.Version = 0 }))
	f(`has "storm"`, sampleFile(t, "b.json", storm, nil))
	f("no runs", sampleFile(t, "b.json", sampleResult(), nil))
	f("no kind of run in common", sampleFile(t, "b.json", raw, nil))
}

// The pages draw all their charts in a browser, and load nothing.
func TestPages(t *testing.T) {
	a, err := ReadResult(sampleFile(t, "a.json", sampleResult(1, 2),
		func(h *Header) { h.Command = append(h.Command, "</script><b>x") }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compare(sampleFile(t, "a.json", sampleResult(1), nil), sampleFile(t, "b.json", sampleResult(3), nil))
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := a.FanoutResult.WriteHTML(&one, a.Header); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteHTML(&two); err != nil {
		t.Fatal(err)
	}
	f := func(page []byte, charts string, want ...string) {
		t.Helper()
		for _, bad := range []string{"src=", "@import", "url(", "<b>x"} {
			if bytes.Contains(page, []byte(bad)) {
				t.Errorf("the page has %q", bad)
			}
		}
		dom := browse(t, page)
		for _, want := range append(want, `data-charts="`+charts+`"`, "Latency by percentile", "Cores in use",
			"resident") {
			if !strings.Contains(dom, want) {
				t.Errorf("no %q in the page as the browser has it", want)
			}
		}
	}
	f(one.Bytes(), "14", "Run 2, gateway", "&lt;/script&gt;")
	f(two.Bytes(), "7", "A p99", "B p99", "3.000")
}

// browse runs the page in a browser and returns its document.
func browse(t *testing.T, page []byte) string {
	t.Helper()
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("there is no chromium to look at the page with (Debian: apt-get install chromium)")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--virtual-time-budget=5000", "--dump-dom", "file://"+file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return string(out)
}
