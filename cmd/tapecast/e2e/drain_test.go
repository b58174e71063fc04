package e2e

import (
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestDrain: a SIGTERM ends readiness, closes the port, tells every client, closes them spread
// over the drain time, and ends with exit code 0.
func TestDrain(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	g := start(t, config(k, authConfig))
	const n = 60
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = join(t, g, fmt.Sprint(i))
	}
	waiting := dial(t, g, dialing{})
	waiting.notice("auth_required")

	began := time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, "readyz says 503", func() bool {
		status, _, err := g.tryGet("/readyz")
		return err == nil && status == 503
	})
	if status, _ := g.get("/livez"); status != 200 {
		t.Errorf("/livez while draining: %d", status)
	}
	eventually(t, time.Second, "the port is closed", func() bool {
		c, err := net.Dial("tcp", g.public)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if c, err := tryDial(t, g, dialing{}); err == nil {
		c.conn.Close()
		t.Error("a client came in after the port was closed")
	}
	w := k.producer(t)
	w.send("trades", 0, nil, []byte(`{"while":"draining"}`))
	w.flush()

	var ends []time.Duration
	for _, c := range clients {
		code := c.awaitClose(patience)
		ends = append(ends, c.ended.Sub(began))
		if code != 1001 && code != 1012 {
			t.Errorf("closed with %d, want 1001 or 1012", code)
		}
		c.notice("server_shutdown")
		c.check()
	}
	if code := waiting.awaitClose(patience); code != 1001 && code != 1012 {
		t.Errorf("one that waits to authenticate was closed with %d", code)
	}
	slices.Sort(ends)
	if first, last := ends[0], ends[n-1]; last > 4500*time.Millisecond || last-first < 1500*time.Millisecond {
		t.Errorf("the closes went out from %s to %s of a drain of 3 s", first, last)
	}
	g.ended(patience, 0)
	if d := time.Since(began); d > 6*time.Second {
		t.Errorf("ended after %s", d)
	}
}

// TestDrainWithoutClientsIsQuick: a drain without clients waits for nothing.
func TestDrainWithoutClientsIsQuick(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	g := start(t, config(k, `server: {listen: "127.0.0.1:0", drain: 60s}`+"\n"+authConfig))
	g.stop(30 * time.Second)
}

// TestSecondSignalDuringADrain ends it at once, although clients are left.
func TestSecondSignalDuringADrain(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	g := start(t, config(k, `server: {listen: "127.0.0.1:0", drain: 60s}`+"\n"+authConfig))
	for i := range 10 {
		join(t, g, fmt.Sprint(i))
	}
	_ = g.cmd.Process.Signal(syscall.SIGINT)
	eventually(t, patience, "readyz says 503", func() bool {
		status, _, err := g.tryGet("/readyz")
		return err == nil && status == 503
	})
	_ = g.cmd.Process.Signal(syscall.SIGINT)
	within(t, 2*time.Second, "the end after a second signal", g.exited)
}
