package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tapecast/server/config"
)

// serveOne is a gateway for one client.
func serveOne(t *testing.T, serve func(conn net.Conn)) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		serve(conn)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestWatchPrintsAndSubscribes(t *testing.T) {
	asked := make(chan string, 1)
	url := serveOne(t, func(conn net.Conn) {
		wsutil.WriteServerText(conn, []byte(`{"method":"authenticated"}`))
		wsutil.WriteServerText(conn, []byte(`{"method":"auto_subscribed"}`))
		b, _ := wsutil.ReadClientText(conn)
		asked <- string(b)
		wsutil.WriteServerMessage(conn, ws.OpPing, []byte("p"))
		if h, err := ws.ReadHeader(conn); err != nil || h.OpCode != ws.OpPong {
			t.Errorf("a ping is answered by %+v, %v", h, err)
		}
		conn.Read(make([]byte, 1))
		wsutil.WriteServerBinary(conn, []byte("\x00bin"))
		ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(1012, "restart")))
		ws.ReadHeader(conn)
	})
	p := begin(t, nil, "watch", "--url", url, "--token", "t0ken", "prices:BTCUSDT")
	if got, want := <-asked,
		`{"id":1,"jsonrpc":"2.0","method":"subscribe","params":{"rooms":["prices:BTCUSDT"]}}`; got != want {
		t.Errorf("asks %s, want %s", got, want)
	}
	p.ends(0)
	if got, want := p.stdout.String(),
		"{\"method\":\"authenticated\"}\n{\"method\":\"auto_subscribed\"}\n\"\\x00bin\"\n"; got != want {
		t.Errorf("prints %s", got)
	}
	p.says(&p.stderr, "closed by the gateway: 1012 restart")
}

func TestWatchEnds(t *testing.T) {
	f := func(code int, says string, serve func(conn net.Conn), args ...string) {
		t.Helper()
		p := begin(t, nil, append([]string{"watch", "--token", "t0ken", "--url", serveOne(t, serve)}, args...)...)
		p.ends(code)
		p.says(&p.stderr, says)
	}
	closes := func(code ws.StatusCode) func(net.Conn) {
		return func(conn net.Conn) {
			ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(code, "why")))
			ws.ReadHeader(conn)
		}
	}
	f(0, "1001 why", closes(1001))
	f(1, "4208 why", closes(4208))
	f(1, "cannot read", func(conn net.Conn) {}) // gone without a close frame
	f(1, "cannot read", func(conn net.Conn) { conn.Write([]byte{0x81, 5, 'h'}) })
	f(0, "", func(conn net.Conn) {
		for range 3 {
			wsutil.WriteServerText(conn, []byte("x"))
		}
		if h, err := ws.ReadHeader(conn); err != nil || h.OpCode != ws.OpClose {
			t.Errorf("after its count the client sends %+v, %v", h, err)
		}
	}, "--count", "2")

	p := begin(t, nil, "watch", "--token", "bad", "--url", serveOne(t, nil))
	p.ends(1)
	p.says(&p.stderr, "refused with status 401")

	goodbye := make(chan error, 1)
	p = begin(t, nil, "watch", "--token", "t0ken", "--url", serveOne(t, func(conn net.Conn) {
		wsutil.WriteServerText(conn, []byte("up"))
		_, err := wsutil.ReadClientText(conn)
		goodbye <- err
	}))
	p.says(&p.stdout, "up")
	p.signals <- syscall.SIGINT
	if err := <-goodbye; err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("a signal ends with %v, want close 1000", err)
	}
	p.ends(0)
}

func TestLocalURL(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		if got := publicURL(config.Default(), addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	f("127.0.0.1:8080", "ws://127.0.0.1:8080/ws")
	f("0.0.0.0:80", "ws://127.0.0.1:80/ws")
	f("[::]:80", "ws://127.0.0.1:80/ws")
	f(":80", "ws://127.0.0.1:80/ws")
	f("host:80", "ws://host:80/ws")
}
