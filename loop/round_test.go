package loop

import (
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
)

// named is an echo whose connections have a session. If held is set, the handshake waits there.
type named struct {
	echo
	mu   sync.Mutex
	held chan struct{} // nil: none is held
	at   chan struct{}
}

func (n *named) Open(c *Conn, _ *upgrade.Request) upgrade.Verdict {
	c.SetSession(new(int))
	n.mu.Lock()
	held := n.held
	n.mu.Unlock()
	if held != nil {
		n.at <- struct{}{}
		<-held
	}
	return upgrade.Verdict{}
}

// TestEach: a round of all connections misses none that stays, while others come and go.
func TestEach(t *testing.T) {
	e := start(t, Config{Handler: &named{}, Loops: 2})
	const clients = 300
	var all []*client
	for range clients {
		all = append(all, dial(t, e))
	}
	testwait.Until(t, testwait.Patience, "all are open", func() bool { return e.Stats().Connections == clients })
	var mu sync.Mutex
	seen := map[uint64]bool{}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for i, c := range all {
			if i%3 == 0 {
				c.conn.Close()
			}
		}
	}()
	for range 3 {
		clear(seen)
		late := e.Each(func(c *Conn) {
			for begun := time.Now(); time.Since(begun) < 20*time.Microsecond; { // so that it takes many steps
			}
			mu.Lock()
			seen[c.ID()] = true
			mu.Unlock()
		}, testwait.Patience)
		if late != nil || len(seen) < clients-clients/3 {
			t.Errorf("%d of %d seen, late: %v", len(seen), clients-clients/3, late)
		}
	}
	<-gone
	e.Each(func(c *Conn) { c.Close(4003, "out") }, testwait.Patience)
	for i, c := range all {
		if i%3 == 0 {
			continue
		}
		if op, text := c.read(); op != ws.OpClose || text != "\x0f\xa3out" {
			t.Fatalf("client %d got %v %q", i, op, text)
		}
	}
}

// TestEachDuringHandshake: a round closes a connection whose handshake the handler is still deciding
// on, once its session is set.
func TestEachDuringHandshake(t *testing.T) {
	h := &named{held: make(chan struct{}), at: make(chan struct{})}
	e := start(t, Config{Handler: h})
	got := make(chan string)
	go func() {
		c := dial(t, e)
		_, text := c.read()
		got <- text
	}()
	<-h.at
	n := 0
	if late := e.Each(func(c *Conn) { n++; c.Close(4003, "out") }, testwait.Patience); late != nil || n != 1 {
		t.Errorf("%d were seen, late: %v", n, late)
	}
	close(h.held)
	if text := <-got; text != "\x0f\xa3out" {
		t.Errorf("the client got %q", text)
	}
}

// TestEachOfOneThatStands: nobody waits for a loop that stands.
func TestEachOfOneThatStands(t *testing.T) {
	e := start(t, Config{Handler: &named{}, Loops: 1})
	held, free := make(chan struct{}), make(chan struct{})
	e.loops[0].do(func(*Loop) { close(held); <-free })
	<-held
	if late := e.Each(func(*Conn) {}, 10*time.Millisecond); len(late) != 1 || late[0] != "loop 0" {
		t.Errorf("late: %v", late)
	}
	close(free)
}
