package loop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"tapecast/loop/upgrade"
)

// host is an echo that agrees to deflate, tells of what it is told, and can have a message
// wait.
type host struct {
	echo
	limited chan Pace
	message func(c *Conn, p []byte) // nil: echo
}

func newHost() *host { return &host{echo: echo{make(chan int, 1000)}, limited: make(chan Pace, 1000)} }

func (h *host) Open(*Conn, *upgrade.Request) upgrade.Verdict { return upgrade.Verdict{Deflate: true} }

func (h *host) Flooded(_ *Conn, what Pace) { h.limited <- what }

func (h *host) Message(c *Conn, op byte, p []byte) {
	if h.message == nil {
		c.Send(op, p)
		return
	}
	h.message(c, p)
}

// town is an engine with one poller and one loop, so that everybody shares them.
type town struct {
	*host
	t      *testing.T
	engine *Engine
	trust  *tls.Config // nil: plain
}

func newTown(t *testing.T, cfg Config, message ...func(*Conn, []byte)) *town {
	t.Helper()
	w := &town{host: newHost(), t: t}
	if len(message) > 0 {
		w.message = message[0]
	}
	cfg.Handler, cfg.Loops, cfg.Pollers = w.host, 1, 1
	if cfg.TLS != nil {
		w.trust = trusting(cfg.TLS)
	}
	w.engine = start(t, cfg)
	return w
}

func (w *town) dial(extra ...string) *client {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if w.trust != nil {
		conn = tls.Client(conn, w.trust)
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", strings.Join(extra, ""))
	br := bufio.NewReader(conn)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			w.t.Fatalf("no answer to the upgrade: %v", err)
		}
		if line == "\r\n" {
			return &client{t: w.t, conn: conn, br: br}
		}
	}
}

func (c *client) echoes(text string) {
	c.t.Helper()
	c.write(ws.OpText, text)
	if op, got := c.read(); op != ws.OpText || got != text {
		c.t.Fatalf("%q came back as %v %.200q", text, op, got)
	}
}
