package loop

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPlainWhereTLS: a client that speaks plain HTTP where TLS is spoken is told so; noise is
// answered by nothing.
func TestPlainWhereTLS(t *testing.T) {
	w := newTown(t, Config{TLS: testTLS(t)})
	f := func(method string, pieces ...string) {
		t.Helper()
		conn, err := net.Dial("tcp", w.engine.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		for _, p := range pieces {
			io.WriteString(conn, p) // after the first the answer may have come
		}
		if method == "" {
			if b, err := io.ReadAll(conn); len(b) > 0 && b[0] != 21 || err != nil && isTimeout(err) { // an alert
				t.Errorf("%q: %q %v", pieces, b, err)
			}
			return
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", pieces, err)
		}
		b, err := io.ReadAll(r.Body)
		if r.StatusCode != 400 || err != nil || strings.Contains(string(b), "wss://") != (method != "HEAD") {
			t.Errorf("%q: %d %q %v", pieces, r.StatusCode, b, err)
		}
	}
	f("GET", get("/ws"))
	f("GET", "G", "ET /ws HTTP/1.1\r\n")
	f("HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
	f("", "\x00\x00noise")
	await(t, func() bool { return w.engine.Stats().Refused == 3 })
	w.dial().echoes("and TLS goes on")
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// TestLettersAreNotPlain: within a handshake, what comes next may begin with a letter, be it
// noise or the second half of a record. That is TLS all the same, and no worker is left behind.
func TestLettersAreNotPlain(t *testing.T) {
	w := newTown(t, Config{TLS: testTLS(t), HandshakeTimeout: time.Hour})
	f := func(waits bool) {
		t.Helper()
		conn, err := net.Dial("tcp", w.engine.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(hello(t, w.trust))
		if waits {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		c := w.greeted()
		io.WriteString(conn, "A")
		await(t, func() bool { return c.secure.stands(records{nhead: 1}) })
		io.WriteString(conn, "BCDEFGHI")
		if b, err := io.ReadAll(conn); strings.Contains(string(b), "HTTP") || err != nil && isTimeout(err) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		await(t, func() bool {
			s := w.engine.Stats()
			return s.Connections == 0 && s.TLS.Parked == 0 && s.TLS.Running == 0 && s.TLS.Waiting == 0
		})
	}
	f(true)
	f(false)

	conn, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := tls.Client(&lettered{Conn: conn, town: w}, w.trust).Handshake(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { s := w.engine.Stats().TLS; return s.Handshakes == 1 && s.Running == 0 })
	w.dial().echoes("and others go on")
}

// greeted waits for a handshake that waits for its client.
func (w *town) greeted() (c *Conn) {
	w.t.Helper()
	g := &w.engine.greeters
	await(w.t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		c, _ = g.parked.greediest()
		return c != nil
	})
	return c
}

// stands reports whether a worker has read up to the same place within a record.
func (t *secure) stands(at records) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.records.nhead == at.nhead && t.records.left == at.left
}

// lettered sends what follows the first flight in pieces that begin with a letter, each
// when the worker has read the one before.
type lettered struct {
	net.Conn
	town *town
	conn *Conn // nil: the first flight
	sent records
}

func (l *lettered) Write(p []byte) (int, error) {
	if l.conn == nil {
		n, err := l.Conn.Write(p)
		l.conn = l.town.greeted()
		return n, err
	}
	for at := 0; at < len(p); {
		n := at + 1
		for n < len(p) && (p[n] < 'A' || p[n] > 'Z') {
			n++
		}
		if _, err := l.Conn.Write(p[at:n]); err != nil {
			return at, err
		}
		l.sent.pass(p[at:n])
		if at = n; at < len(p) {
			await(l.town.t, func() bool { return l.conn.secure.stands(l.sent) })
		}
	}
	return len(p), nil
}
