package loop

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tapecast/rooms/testwait"
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
		conn.SetDeadline(time.Now().Add(testwait.Patience))
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
	f("GET", "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
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
