package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestDrainCutsStalledClients: clients that do not read cannot keep a node from ending in order.
// They are cut at the drain's end, the exit code is 0, and nothing is an error.
func TestDrainCutsStalledClients(t *testing.T) {
	besideOthers(t)
	drains := []time.Duration{0, 2 * time.Second}
	if !testing.Short() {
		drains = append(drains, 20*time.Second) // the default
	}
	for _, drain := range drains {
		t.Run(drain.String(), func(t *testing.T) {
			besideOthers(t)
			g := start(t, config(nil,
				fmt.Sprintf("server: {listen: \"127.0.0.1:0\", drain: %s, send_buffer: 8KiB}\n", drain)))
			for i := range 5 {
				c := dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint(i)), buffer: 4096})
				c.notice("auto_subscribed")
				c.reading.Lock()
				defer c.reading.Unlock()
			}
			eventually(t, 3*patience, "all five take no more", stalled(g, 5))
			polite := join(t, g, "77")
			begun := time.Now()
			g.cmd.Process.Signal(syscall.SIGTERM)
			if code := polite.awaitClose(drain + patience); code != 1012 {
				t.Errorf("a client that reads is closed with %d", code)
			}
			g.ended(drain+patience, 0)
			t.Logf("ended after %s", time.Since(begun).Round(100*time.Millisecond))
			g.mu.Lock()
			defer g.mu.Unlock()
			cut := false
			for _, l := range g.log {
				if l["level"] == "ERROR" {
					t.Errorf("an error: %v", l)
				}
				cut = cut || l.msg() == "clients that did not read were cut at the end of the drain" &&
					l["connections"] == 5.0
			}
			// with a longer drain, the first ones of the spread are reset before its end
			if !cut && drain < 5*time.Second {
				t.Error("the log does not say that five clients were cut")
			}
		})
	}
}

// stalled returns a condition: all n connections wait for their sockets, and while 200 records came
// in the kernel took nothing. One look is not enough: a socket may be full because the
// client's machine is busy, and take more a moment later.
func stalled(g *gateway, n float64) func() bool {
	var sent, from float64
	return func() bool {
		now := g.metric("tapecast_bytes_sent_total")
		if g.metric("tapecast_blocked_connections") < n || now != sent {
			sent, from = now, g.metric("tapecast_appended_total")
			return false
		}
		return g.metric("tapecast_appended_total") >= from+200
	}
}
