package loop

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
)

func TestClose(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.talk("all")
	c.write(1, "close because")
	c.expectClose(4321, "because")
	c.write(1, "too late")
	if _, err := c.br.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the close frame: %v", err)
	}
	c.conn.Close()
	if code := <-w.closed; code != 4321 {
		t.Errorf("the handler was told %d", code)
	}
}

// TestCloseWithUnreadInput checks that the close frame is not destroyed by a
// reset: the server must read what the client still sends.
func TestCloseWithUnreadInput(t *testing.T) {
	w := newWorld(t, Config{MaxMessage: 1 << 20})
	c := w.talk()
	c.write(1, "close now")
	for range 20 {
		c.write(1, strings.Repeat("x", 50_000))
	}
	c.expectClose(4321, "now")
}

// TestCloseNobodyReads: a close frame that cannot be sent is given up.
func TestCloseNobodyReads(t *testing.T) {
	w := newWorld(t, Config{SendBuffer: 4 << 10})
	c := w.talk()
	c.conn.(*net.TCPConn).SetReadBuffer(2 << 10)
	for range 3 {
		c.write(1, "flood") // 400 KB of answers each: over the limit
	}
	if code := <-w.closed; code != wire.ClosePolicy {
		t.Errorf("closed with %d", code)
	}
	w.await(func() bool { return w.engine.Stats().Resets == 1 })
}

func TestProtocolFault(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.talk()
	c.conn.Write([]byte{0x83, 0x80, 0, 0, 0, 0}) // a reserved opcode
	op, got := c.read()
	if op != ws.OpClose || !strings.HasPrefix(got, "\x03\xea") {
		t.Errorf("got %v %q, not a close with 1002", op, got)
	}
}

func TestTimers(t *testing.T) {
	w := newWorld(t, Config{HandshakeTimeout: 300 * time.Millisecond, PingEvery: 200 * time.Millisecond,
		PongTimeout: 600 * time.Millisecond})
	half, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	fmt.Fprint(half, "GET /ws HTTP/1.1\r\nHost:")

	c := w.talk()
	began := time.Now()
	c.ask("timer 250ms", "timer")
	if d := time.Since(began); d < 250*time.Millisecond {
		t.Errorf("the timer came after %v", d)
	}
	c.write(1, "auth pings")
	for range 3 {
		if op, _ := c.read(); op != ws.OpPing {
			t.Fatalf("got %v, not a ping", op)
		}
		c.write(ws.OpPong, "")
	}
	// From now on the client says nothing more.
	if code := <-w.closed; code != wire.CloseNone {
		t.Errorf("a silent peer was closed with %d", code)
	}
	w.await(func() bool { s := w.engine.Stats(); return s.PongTimeouts == 1 && s.HandshakeTimeouts == 1 })
	half.SetReadDeadline(time.Now().Add(testwait.Patience))
	if _, err := half.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("half a handshake was left open: %v", err)
	}
}

// TestPositions: rooms that were quiet since the last ping and are level are
// told; a busy room is its own ping.
func TestPositions(t *testing.T) {
	w := newWorld(t, Config{PingEvery: 300 * time.Millisecond})
	w.publish("1", "all")
	c := w.talk("all", "own:me")
	c.write(1, "auth positions")
	head := `{"jsonrpc":"2.0","method":"positions","params":{`
	if got := c.expect(head); got != head+`"all":{"epoch":"e1","0":0},"own:me":{"epoch":"e1","0":0}}}` {
		t.Errorf("first %q", got)
	}
	w.publish("2", "all")
	c.expect(`{"room":"all"`)
	// own:me stays quiet, but its position moves on with the topic.
	if got := c.expect(head); got != head+`"own:me":{"epoch":"e1","0":1}}}` {
		t.Errorf("then %q", got)
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t, Config{Loops: 2})
	const n = 40
	var list []*client
	for range n {
		list = append(list, w.talk("all"))
	}
	if err := w.engine.StopAccepting(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", w.engine.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
	began := time.Now()
	drained := make(chan error)
	go func() {
		drained <- w.engine.Drain(context.Background(), time.Second, []byte("notice"), 1012, "restart")
	}()
	var first, last time.Duration
	for i, c := range list {
		go func() {
			c.expect("notice")
			c.expectClose(1012, "restart")
			c.conn.Close()
		}()
		_ = i
	}
	for i := range n {
		if code := <-w.closed; code != 1012 {
			t.Errorf("closed with %d", code)
		}
		if i == 0 {
			first = time.Since(began)
		}
		last = time.Since(began)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if first > 400*time.Millisecond || last < 800*time.Millisecond {
		t.Errorf("closes came between %v and %v of a drain over 1 s", first, last)
	}
}

// TestFlood: a client that is being closed and goes on sending is reset, not
// read for as long as it likes.
func TestFlood(t *testing.T) {
	w := newWorld(t, Config{SendBuffer: 4 << 10})
	c := w.talk()
	c.write(1, "close now")
	chunk := make([]byte, 1<<20)
	sent := 0
	for {
		c.conn.SetWriteDeadline(time.Now().Add(testwait.Patience))
		n, err := c.conn.Write(chunk)
		if sent += n; err != nil {
			break
		}
		if sent > 256<<20 {
			t.Fatalf("%d MB were taken after the close", sent>>20)
		}
	}
	<-w.closed
}

// TestStopAtOnce has engines stop right after their start.
func TestStopAtOnce(t *testing.T) {
	for range 50 {
		e, err := New(Config{Addr: "127.0.0.1:0", Handler: echo{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyPollers: a start waits for all of them, however many.
func TestManyPollers(t *testing.T) {
	for n := 1; n <= 9; n++ {
		e := start(t, Config{Handler: echo{}, Pollers: n})
		for range 2 * n {
			c := dial(t, e)
			c.write(1, "x")
			c.read()
		}
	}
}
