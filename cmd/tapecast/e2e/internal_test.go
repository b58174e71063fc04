package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const forged = `{"topic":"events","key":"x","value":{"metadata":{"eventType":"system.alert","userId":"42"},"data":%q}}`

// TestReboundPage: a page's name was changed to point at the gateway's machine, so its browser
// takes the internal port for the page's own server. It publishes nothing, nor does any client
// without the token. Incomplete requests end.
func TestReboundPage(t *testing.T) {
	besideOthers(t)
	g := start(t, config(nil, "ingest: {market: false}\n"))
	off := start(t, config(nil, "admin: {listen: \"127.0.0.1:0\"}\ningest: {market: false}\n"))
	halves := []net.Conn{}
	for range 40 {
		c, err := net.Dial("tcp", g.admin)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"+
			"Authorization: Bearer %s\r\n\r\n{", adminToken)
		halves = append(halves, c)
	}
	a, b := join(t, g, "42"), join(t, off, "42")
	f := func(g *gateway, status int, words string, header ...string) {
		t.Helper()
		header = append(header, "Content-Type", "text/plain")
		got, body := g.post("/publish", fmt.Appendf(nil, forged, "forged"), header...)
		if got != status || !strings.Contains(string(body), words) {
			t.Errorf("%q: %d %s, want %d %q", header, got, body, status, words)
		}
	}
	for _, g := range []*gateway{g, off} {
		_, port, _ := net.SplitHostPort(g.admin)
		rebound := []string{"Host", "evil.example:" + port, "Origin", "http://evil.example:" + port}
		f(g, 421, "admin.hosts", rebound...)
		f(g, 421, "admin.hosts", append(rebound, "Authorization", "")...)
		f(g, 403, "another origin", "Origin", "http://evil.example:"+port)
	}
	f(g, 401, "admin.token_file", "Authorization", "")
	f(g, 401, "admin.token_file", "Authorization", "Bearer "+strings.Repeat("x", len(adminToken)))
	f(off, 403, "admin.write")
	if n := g.metric("tapecast_admin_refused_total", `reason="host"`); n != 2 {
		t.Errorf("%v counted", n)
	}
	g.waitLog(patience, "internal port: refused", func(l logLine) bool { return l["reason"] == "token" })
	// What comes after all that is the first that anybody gets.
	if status, body := g.post("/publish", fmt.Appendf(nil, forged, "honest")); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	alerts := func(c *client) []frame {
		if r := c.rooms["system_alerts"]; r != nil {
			return r.frames
		}
		return nil
	}
	a.await("the honest alert", func() bool { return len(alerts(a)) > 0 })
	if got := alerts(a); len(got) != 1 || string(got[0].data) != `"honest"` || len(alerts(b)) != 0 {
		t.Errorf("got %d alerts, the first %s, and without admin.write %d", len(got), got[0].data, len(alerts(b)))
	}
	for _, c := range halves {
		c.SetReadDeadline(time.Now().Add(2 * patience))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("half a request is still open")
		}
	}
}

// TestBenchOfDemo: `tapecast run --direct` and tapecast-bench find each other's keys with
// nothing given by hand, and give nothing to others.
func TestBenchOfDemo(t *testing.T) {
	besideOthers(t)
	g, home := demo(t, []string{"TAPECAST_INGEST_MARKET=false", // what is appended stands alone
		"TAPECAST_SERVER_DRAIN=100ms"}, "--direct")
	fanout := []string{"fanout", "--direct", "--rooms", "trades", "--rate", "20"}
	out, errs, code := g.measured(t, home, fanout...)
	var res struct {
		Legs []struct{ Want, Unique int64 }
	}
	// 1: the machine was too busy to measure anything, which is not tested here.
	if err := json.Unmarshal([]byte(out), &res); err != nil || code > 1 || len(res.Legs) != 1 ||
		res.Legs[0].Want == 0 || res.Legs[0].Want != res.Legs[0].Unique {
		t.Errorf("%d %v %s %s", code, err, out, errs)
	}
	out, errs, code = g.measured(t, t.TempDir(), fanout...)
	if code != 2 || !strings.Contains(errs, "--admin-token-file") || out != "" {
		t.Errorf("without the demo's files: %d %s %s", code, out, errs)
	}
}

// TestObserveDemo: the demo's generated market is measured with nothing given by hand. Elsewhere
// no key is found, and the error says which is needed.
func TestObserveDemo(t *testing.T) {
	g, home := demo(t, []string{"TAPECAST_SERVER_DRAIN=100ms"})
	observe := []string{"observe", "--rooms", "prices,trades"}
	out, errs, code := g.measured(t, home, observe...)
	var seen struct {
		Messages  int64
		Breaks    int64 `json:"chain_breaks"`
		Freshness struct{ Count int64 }
		Bytes     float64 `json:"bytes_per_s"`
		RSS       float64 `json:"gateway_rss"`
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil || code > 1 || seen.Messages == 0 ||
		seen.Freshness.Count == 0 || seen.Breaks != 0 || seen.Bytes < 1000 || seen.RSS < 1e6 {
		t.Errorf("%d %v %s %s", code, err, out, errs)
	}
	out, errs, code = g.measured(t, t.TempDir(), observe...)
	if code != 2 || !strings.Contains(errs, "give --secret") || out != "" {
		t.Errorf("without the demo's files: %d %s %s", code, out, errs)
	}
}

// demo runs a gateway without a configuration. home is where it keeps its files, which no other has.
func demo(t *testing.T, env []string, args ...string) (g *gateway, home string) {
	t.Helper()
	home = t.TempDir()
	if err := writeAdminToken(adminTokenIn(home)); err != nil {
		t.Fatal(err)
	}
	g = launchWith(t, append(env, "XDG_CONFIG_HOME="+home),
		append([]string{"run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	g.ready()
	return g, home
}

// builtBench returns the program tapecast-bench. It is built on first use.
func builtBench(t *testing.T) string {
	t.Helper()
	program, err := buildBench()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var buildBench = sync.OnceValues(func() (program string, err error) {
	program = filepath.Join(suite.dir, "tapecast-bench")
	out, err := exec.Command("go", "build", "-o", program, "tapecast/cmd/tapecast-bench").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("cannot build the bench: %w\n%s", err, out)
	}
	return program, err
})

// measured runs a measurement of tapecast-bench with three clients for a second. home is where
// it looks for the demo's files.
func (g *gateway) measured(t *testing.T, home string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	c := exec.Command(builtBench(t),
		append(args[:len(args):len(args)], "--target", g.url(), "--admin", "http://"+g.admin,
			"--clients", "3", "--warmup", "100ms", "--duration", "1s", "--json", "--quiet")...)
	c.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // its exit code is checked
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}
