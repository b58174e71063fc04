package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serves fails the test unless delivery, a ping and a new client's handshake work.
func (g *gateway) serves(c *client) {
	g.t.Helper()
	c.mu.Lock()
	had := c.framesLocked()
	c.mu.Unlock()
	c.call("ping", nil)
	c.await("messages", func() bool { return c.framesLocked() >= had+5 })
	other := join(g.t, g, "7")
	other.call("ping", nil)
	other.leave()
	if code, body := g.get("/livez"); code != 200 {
		g.t.Errorf("/livez: %d %s", code, body)
	}
}

// framesLocked returns how many messages of rooms have come so far.
func (c *client) framesLocked() (n int) {
	for _, r := range c.rooms {
		n += len(r.frames)
	}
	return n
}

// badTokens makes the gateway log, on its pollers.
func (g *gateway) badTokens(n int) {
	g.t.Helper()
	for i := range n {
		if c, err := tryDial(g.t, g, dialing{query: fmt.Sprintf("?token=x%d", i)}); err == nil {
			c.conn.Close()
		}
	}
}

// TestLogReaderStalls: the log is not read, and clients do not notice. Lines beyond what may wait
// are dropped and counted, and the log says so when it is read again. While it is not read,
// SIGTERM drains and ends with 0.
func TestLogReaderStalls(t *testing.T) {
	besideOthers(t)
	p := newLogPipe(t)
	g, file := p.logging(t)
	c := join(t, g, "42")
	p.held.Lock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 40 { // a line each: 20 pass the limit
		<-tick.C
		g.cmd.Process.Signal(syscall.SIGHUP)
	}
	g.badTokens(40) // 20 more, written by pollers: 6 KB in all
	g.serves(c)

	// An operator's mistakes make the longest log.
	many := "no_such_key: 1\n"
	for i := range 3000 {
		many += fmt.Sprintf("no_such_key_%d_%s: 1\n", i, strings.Repeat("x", 60))
	}
	if err := os.WriteFile(file, []byte(many), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*patience, "lines are dropped, and counted", func() bool {
		g.cmd.Process.Signal(syscall.SIGHUP)
		return g.metric("tapecast_log_dropped_total") > 0
	})
	g.serves(c)
	p.held.Unlock()
	said := func(l logLine) bool { return l["dropped"] != nil && strings.HasSuffix(l.msg(), "is gone") }
	eventually(t, patience, "the log says how many", func() bool {
		g.badTokens(1)
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, l := range g.log {
			if said(l) {
				return true
			}
		}
		return false
	})

	p.held.Lock()
	g.badTokens(40)
	g.stop(g.drained())
	p.held.Unlock()
	within(t, patience, "the log's end", p.over)
}

// drained returns how long a stop may take: the drain, and patience.
func (g *gateway) drained() time.Duration { return 3*time.Second + patience }

// TestLogReaderEnds: the reader of the log has ended, and the gateway goes on: a write to its
// pipe does not raise SIGPIPE.
func TestLogReaderEnds(t *testing.T) {
	besideOthers(t)
	p := newLogPipe(t)
	g, _ := p.logging(t)
	c := join(t, g, "42")
	p.r.Close()
	within(t, patience, "the reader's end", p.over)
	eventually(t, patience, "writing fails, and is counted", func() bool {
		g.badTokens(3)
		return g.metric("tapecast_log_errors_total") > 0
	})
	g.serves(c)
	g.stop(g.drained())
}

// TestLogToAFullDisk: lines that cannot be written are counted, and no client waits. The
// addresses are those that the demo prints.
func TestLogToAFullDisk(t *testing.T) {
	besideOthers(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	file := filepath.Join(t.TempDir(), "tapecast.yaml")
	if err := os.WriteFile(file, []byte(config(nil, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	g := spawnLogging(t, full, nil, "run", "--config", file)
	g.addressesFromOutput()
	g.ready()
	c := join(t, g, "42")
	g.badTokens(3)
	if n := g.metric("tapecast_log_errors_total"); n == 0 || g.metric("tapecast_log_dropped_total") < n {
		t.Errorf("%v lines could not be written, says the gateway", n)
	}
	g.serves(c)
	g.stop(g.drained())
}
