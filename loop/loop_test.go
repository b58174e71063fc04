package loop

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// echo answers every message with itself.
type echo struct{ closed chan int }

func (echo) Open(*Conn, *upgrade.Request) upgrade.Verdict { return upgrade.Verdict{} }
func (echo) Admit(*Conn) bool                             { return true }
func (echo) Flooded(*Conn, Pace)                          {}
func (echo) Message(c *Conn, op byte, p []byte)           { c.Send(op, p) }
func (echo) Timer(*Conn)                                  {}
func (echo) Payer(*Conn) rooms.Payer                      { return rooms.Payer{} }
func (e echo) Closed(_ *Conn, code int) {
	if e.closed != nil {
		e.closed <- code
	}
}

// start runs an engine until the test ends, and checks that nothing is left then.
func start(t testing.TB, cfg Config) *Engine {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

// client is a blocking client for tests.
type client struct {
	t    testing.TB
	conn net.Conn
	br   io.Reader
}

func dial(t testing.TB, e *Engine) *client {
	t.Helper()
	d := ws.Dialer{Timeout: testwait.Patience, Header: ws.HandshakeHeaderHTTP(http.Header{})}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+e.Addr().String()+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, br: conn}
	if br != nil {
		c.br = br
	} else {
		c.br = bufio.NewReader(conn)
	}
	return c
}

func (c *client) write(op ws.OpCode, p string) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, []byte(p)))); err != nil {
		c.t.Fatal(err)
	}
}

// writeAll sends messages at once, so that nothing is sent between them.
func (c *client) writeAll(messages ...string) {
	c.t.Helper()
	var b []byte
	for _, m := range messages {
		b = append(b, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(m))))...)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() (ws.OpCode, string) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(testwait.Patience))
	f, err := ws.ReadFrame(c.br)
	if err != nil {
		c.t.Fatalf("cannot read a frame: %v", err)
	}
	return f.Header.OpCode, string(f.Payload)
}

func TestEcho(t *testing.T) {
	codes := make(chan int, 1)
	e := start(t, Config{Handler: echo{codes}})
	c := dial(t, e)
	for _, text := range []string{"hello", "", "ünï"} {
		c.write(ws.OpText, text)
		if op, got := c.read(); op != ws.OpText || got != text {
			t.Fatalf("%q came back as %v %q", text, op, got)
		}
	}
	c.write(ws.OpPing, "are you there")
	if op, got := c.read(); op != ws.OpPong || got != "are you there" {
		t.Fatalf("a ping was answered by %v %q", op, got)
	}
	c.write(ws.OpClose, "\x03\xe8bye")
	if op, got := c.read(); op != ws.OpClose || got != "\x03\xe8" {
		t.Fatalf("a close was answered by %v %q", op, got)
	}
	if _, err := c.br.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the close frame: %v, not the end", err)
	}
	c.conn.Close()
	if code := <-codes; code != 1000 {
		t.Fatalf("closed with %d", code)
	}
}
