package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLogFigures measures what the log costs clients: if it is not read, if its reader has ended,
// and if it goes to a full disk. The figure is the p99 of deliveries, relative to that while the
// log is read, in turns. About 380 lines a second are logged meanwhile, by clients that ask for
// others' rooms. It prints the figures, and takes nine minutes. TAPECAST_E2E_STALL changes the
// time of the stall from a minute.
func TestLogFigures(t *testing.T) {
	if !scaled().full() {
		t.Skip("measures for minutes: TAPECAST_E2E_FULL=1 runs it")
	}
	stall := time.Minute
	if s := os.Getenv("TAPECAST_E2E_STALL"); s != "" {
		var err error
		if stall, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	program := builtBench(t)
	read, gone := newLogPipe(t), newLogPipe(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	g, file := loggingTo(t, read.w)
	read.w.Close()
	go read.feed(g)
	gGone, _ := loggingTo(t, gone.w)
	gone.w.Close()
	gone.r.Close()
	gFull, _ := loggingTo(t, full)

	short := min(stall, 20*time.Second)
	p99 := map[string][]float64{}
	for turn := range 3 {
		measure := func(name string, g *gateway, during time.Duration) {
			stop := g.trouble(t)
			defer stop()
			v := fanoutP99(t, program, g, during)
			p99[name] = append(p99[name], v)
			t.Logf("turn %d, the log's reader %s: p99 %.2f ms over %s, %v lines dropped so far",
				turn+1, name, v, during, g.metric("tapecast_log_dropped_total"))
		}
		measure("reads", g, stall)
		dropped := g.metric("tapecast_log_dropped_total")
		read.held.Lock()
		g.fillLog(t, file)
		measure("stalls", g, stall)
		if g.metric("tapecast_log_dropped_total") == dropped {
			t.Error("nothing was dropped while nobody read")
		}
		read.held.Unlock()
		g.waitLogged(t, "what was dropped", func(l logLine) bool { return l["dropped"] != nil })
		measure("is gone", gGone, short)
		measure("is a full disk", gFull, short)
	}
	for _, name := range []string{"stalls", "is gone", "is a full disk"} {
		with, without := middle(p99[name]), middle(p99["reads"])
		t.Logf("the log's reader %s: p99 %.2f ms, %.3f times %.2f ms (medians of %d)",
			name, with, with/without, without, len(p99[name]))
		if stall >= time.Minute && with > 1.1*without {
			t.Errorf("the log's reader %s: p99 is %.3f times that while it reads, the bar is 1.1", name, with/without)
		}
	}
	for _, g := range []*gateway{gGone, gFull} {
		if n := g.metric("tapecast_log_errors_total"); n == 0 || g.metric("tapecast_log_dropped_total") < n {
			t.Errorf("%v lines could not be written, says the gateway", n)
		}
	}
	read.held.Lock() // at the end the log is not read
	defer read.held.Unlock()
	for _, g := range []*gateway{g, gGone, gFull} {
		g.stop(g.drained())
	}
}

// loggingTo runs a gateway whose log goes to a file, with its security events. The bench may
// publish to it. Its addresses are those that the demo prints. file is its configuration.
func loggingTo(t *testing.T, log *os.File) (g *gateway, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "tapecast.yaml")
	yaml := config(nil, fmt.Sprintf("log: {level: info, format: json, security: stderr}\n"+
		"admin: {listen: \"127.0.0.1:0\", direct: true, write: true, token_file: %q}\n"+
		"ingest: {market: false}\n", adminTokenFile()))
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	g = spawnLogging(t, log, nil, "run", "--config", file)
	g.addressesFromOutput()
	g.ready()
	return g, file
}

var printedAddresses = regexp.MustCompile(`(?s)ws://([\d.:]+)/ws.*http://([\d.:]+)/health`)

// addressesFromOutput takes the gateway's addresses from what the demo prints.
func (g *gateway) addressesFromOutput() {
	g.t.Helper()
	eventually(g.t, 60*time.Second, "the addresses", func() bool {
		m := printedAddresses.FindStringSubmatch(g.output())
		if m != nil {
			g.public, g.admin = m[1], m[2]
		}
		return m != nil
	})
}

// trouble makes clients at 95 addresses ask for others' orders until stop is called. Each asks
// four times a second, and each request is a security event.
func (g *gateway) trouble(t *testing.T) (stop func()) {
	t.Helper()
	over := make(chan struct{})
	var running sync.WaitGroup
	for k := range 95 {
		c := dial(t, g, dialing{
			query: "?token=" + g.token(fmt.Sprint("curious", k)) + "&join=manual",
			from:  net.IPv4(127, 0, 1, byte(1+k)), sums: true,
		})
		running.Go(func() {
			defer c.leave()
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-tick.C:
					c.request(fmt.Sprint(n), "subscribe", map[string]any{"rooms": []string{"orders:somebody"}})
				}
			}
		})
	}
	return func() {
		close(over)
		running.Wait()
	}
}

// fillLog makes the gateway log more than may wait for a reader, with a configuration that has
// thousands of faults.
func (g *gateway) fillLog(t *testing.T, file string) {
	t.Helper()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	many := string(good)
	for i := range 3000 {
		many += fmt.Sprintf("no_such_key_%d_%s: 1\n", i, strings.Repeat("x", 60))
	}
	if err := os.WriteFile(file, []byte(many), 0o600); err != nil {
		t.Fatal(err)
	}
	before := g.metric("tapecast_log_dropped_total")
	eventually(t, 3*patience, "lines are dropped, and counted", func() bool {
		g.cmd.Process.Signal(syscall.SIGHUP)
		return g.metric("tapecast_log_dropped_total") > before
	})
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
}

// waitLogged waits for a log line that fits, with any message, and forgets all lines so far.
func (g *gateway) waitLogged(t *testing.T, what string, fits func(logLine) bool) {
	t.Helper()
	eventually(t, patience, what, func() bool {
		g.badTokens(1)
		g.mu.Lock()
		defer g.mu.Unlock()
		return slices.ContainsFunc(g.log, fits)
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = nil
}

// fanoutP99 returns what the bench measures at the gateway: the p99 of deliveries to 1,000
// clients of a room with 50 messages a second, in milliseconds.
func fanoutP99(t *testing.T, program string, g *gateway, during time.Duration) float64 {
	t.Helper()
	var out, errs strings.Builder
	c := exec.Command(program, "fanout", "--target", g.url(), "--admin", "http://"+g.admin, "--direct",
		"--secret", secret, "--admin-token-file", adminTokenFile(), "--rooms", "trades", "--fields", `"s":"BENCH"`,
		"--clients", "1000", "--rate", "50", "--warmup", "2s", "--duration", during.String(), "--json", "--quiet")
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // its exit code is checked
	var res struct {
		Legs []struct {
			Want, Unique int64
			Latency      struct {
				P99 float64 `json:"p99_ms"`
			}
		}
	}
	code := c.ProcessState.ExitCode()
	if err := json.Unmarshal([]byte(out.String()), &res); err != nil || code > 1 || len(res.Legs) != 1 {
		t.Fatalf("the bench ended with %d: %v\n%s%s", code, err, out.String(), errs.String())
	}
	if code == 1 { // it was late: the figure does not show the gateway
		t.Logf("the machine was busy: %s", strings.TrimSpace(errs.String()))
	}
	if l := res.Legs[0]; l.Want == 0 || l.Want != l.Unique {
		t.Errorf("%d of %d messages came", l.Unique, l.Want)
	}
	return res.Legs[0].Latency.P99
}

// middle returns the median.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
