package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// TestCheck names every fault at once, with line, key and the nearest known key.
func TestCheck(t *testing.T) {
	good := written(t, "good.yaml", config(&cluster{brokers: "127.0.0.1:1"}, tradeConfig))
	if out, errs, code := command(t, "check", "--config", good); code != 0 || !strings.Contains(out, "ok") {
		t.Errorf("a good one: %d %s %s", code, out, errs)
	}
	bad := written(t, "bad.yaml", `server:
  lisen: 127.0.0.1:0
limits: {pending: -1}
rooms:
  - {match: "trades", class: straem}
auto_join: [trade]
ingest:
  routes:
    - {topic: trades, rooms: ["trades:{s}"]}
kafka: {brokers: [localhost]}
`)
	_, errs, code := command(t, "check", "--config", bad)
	if code == 0 {
		t.Error("a bad one passed")
	}
	for _, want := range []string{"bad.yaml:2", "server.lisen", "server.listen", "bad.yaml:3", "limits.pending",
		"bad.yaml:5", "stream", "bad.yaml:6", "auto_join", "trades:{s}", "bad.yaml:9"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %s in\n%s", want, errs)
		}
	}
	if _, errs, code := command(t, "run", "--config", bad); code == 0 || !strings.Contains(errs, "server.lisen") {
		t.Errorf("run with a bad configuration: %d %s", code, errs)
	}
	if _, errs, code := command(t, "run", "--config", filepath.Join(t.TempDir(), "none.yaml")); code == 0 ||
		!strings.Contains(errs, "none.yaml") {
		t.Errorf("run with no such file: %d %s", code, errs)
	}
}

// TestToken prints a token that a gateway of the same configuration accepts.
func TestToken(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	file := written(t, "c.yaml", config(k, tradeConfig))
	out, errs, code := command(t, "token", "--user", "alice", "--config", file, "--ttl", "1m")
	if code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	g := launch(t, "run", "--config", file)
	g.ready()
	c := dial(t, g, dialing{query: "?token=" + strings.TrimSpace(out)})
	if p := string(c.notice("authenticated")); !strings.Contains(p, `"userId":"alice"`) {
		t.Errorf("authenticated: %s", p)
	}
	if _, _, code := command(t, "token", "--config", file); code == 0 {
		t.Error("a token for nobody")
	}
	if out, _, code := command(t, "version"); code != 0 || !strings.HasPrefix(out, "tapecast ") {
		t.Errorf("version: %d %s", code, out)
	}
	// The port is taken: the error names it, and no gateway runs.
	if _, errs, code := command(t, "run", "--config", file, "--listen", g.public); code == 0 ||
		!strings.Contains(errs, g.public) {
		t.Errorf("run on a port that is taken: %d %s", code, errs)
	}
}

// TestEcho is the entry of the conformance suites: fragments, control frames between them, empty
// messages, text that is cut within a character, closes.
func TestEcho(t *testing.T) {
	e := spawn(t, "echo", "--listen", "127.0.0.1:0", "--max-message", "1MiB")
	eventually(t, patience, "the echo's address", func() bool {
		_, addr, ok := strings.Cut(e.output(), "ws://")
		e.public = strings.TrimRight(addr, "/\n")
		return ok
	})
	open := func() *client { t.Helper(); return dial(t, e, dialing{}) }
	echoed := func(c *client, n int, want string) {
		t.Helper()
		c.await("an echo", func() bool { return len(c.bare) >= n })
		if got := string(c.bare[n-1]); got != want {
			t.Errorf("echo %d is %.80q of %d bytes, want %.80q of %d", n, got, len(got), want, len(want))
		}
	}
	c := open()
	c.write(ws.NewTextFrame(nil))
	echoed(c, 1, "")
	c.write(ws.NewFrame(ws.OpText, false, []byte("gr\xc3")))
	c.write(ws.NewPingFrame([]byte("between")))
	c.write(ws.NewFrame(ws.OpContinuation, false, nil))
	c.write(ws.NewFrame(ws.OpContinuation, true, []byte("\xbc\xc3\x9fe")))
	echoed(c, 2, "grüße")
	c.await("a pong", func() bool { return c.pongs == 1 })
	long := strings.Repeat("0123456789abcdef", 65536)
	c.write(ws.NewBinaryFrame([]byte(long)))
	echoed(c, 3, long)
	c.leave()
	if c.code != 1000 {
		t.Errorf("the close is answered with %d", c.code)
	}

	f := func(code int, frames ...ws.Frame) {
		t.Helper()
		c := open()
		for _, fr := range frames {
			c.write(fr)
		}
		if got := c.awaitClose(patience); got != code {
			t.Errorf("closed with %d, want %d", got, code)
		}
	}
	f(1009, ws.NewBinaryFrame(make([]byte, 1<<20+1)))
	f(1007, ws.NewTextFrame([]byte("\xc0\xaf")))
	f(1007, ws.NewFrame(ws.OpText, false, []byte("\xed\xa0\x80"))) // before the message is complete
	f(1002, ws.NewFrame(ws.OpText, false, nil), ws.NewTextFrame(nil))
	f(1002, ws.NewFrame(ws.OpPing, false, nil))
	f(1002, ws.NewCloseFrame([]byte{3}))
	f(1002, ws.NewCloseFrame([]byte{3, 237})) // 1005
	f(1007, ws.NewCloseFrame([]byte("\x03\xe8\xff")))
	f(3000, ws.NewCloseFrame([]byte{11, 184}))
	e.cmd.Process.Signal(os.Interrupt)
	e.ended(patience, 0)
}

// TestPageConfiguration: the example that new users copy is valid.
func TestPageConfiguration(t *testing.T) {
	page, err := os.ReadFile("../../../server/web/docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	example, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("the page has no configuration")
	}
	example = strings.ReplaceAll(example, "/run/secrets/tapecast", written(t, "secret", secret))
	if out, errs, code := command(t, "check", "--config", written(t, "page.yaml", example)); code != 0 {
		t.Errorf("%d %s %s", code, out, errs)
	}
}
