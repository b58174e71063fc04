package loop

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// TestTLSDescriptorReuse: clients come and go in every manner under broadcast.
func TestTLSDescriptorReuse(t *testing.T) {
	total := 3_000
	if raceEnabled || testing.Short() {
		total = 600
	}
	comeAndGo(t, Config{Loops: 2, Pollers: 2, TLS: testTLS(t), TLSHandshakes: 8}, total)
}

// TestTLSTornFrames: slow readers behind a tape that retention cuts short.
func TestTLSTornFrames(t *testing.T) { readSlowly(t, Config{SendBuffer: 4 << 10, TLS: testTLS(t)}) }

// TestTLSManyAtOnce has more handshakes than workers.
func TestTLSManyAtOnce(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), TLSHandshakes: 3})
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			conn, br := w.dial(fmt.Sprint("c", i))
			defer conn.Close()
			if f, err := ws.ReadFrame(br); err != nil || string(f.Payload) != fmt.Sprint("hello c", i) {
				t.Errorf("got %q, %v", f.Payload, err)
			}
		})
	}
	all.Wait()
	if s := w.engine.Stats().TLS; s.Handshakes != 60 || s.Failed != 0 || s.Running > 3 {
		t.Errorf("%+v", s)
	}
}

// TestTLSSameBytes: every client, however slowly it reads, gets the tape byte for
// byte, though its ciphertext is taken in small parts.
func TestTLSSameBytes(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), SendBuffer: 16 << 10},
		&rooms.Class{Name: "stream", RetainBytes: 64 << 20, RetainAge: time.Hour})
	const messages = 200
	var want []byte
	for n := range messages {
		size := n % 40 * 100
		if n%50 == 49 {
			size = 100 << 10
		}
		value := fmt.Sprintf(`{"N":%d,"Pad":"%s"}`, n, strings.Repeat(string(rune('a'+n%26)), size))
		prev := ""
		if n > 0 {
			prev = fmt.Sprintf(`"prev":"0:%d",`, n-1)
		}
		text := fmt.Sprintf(`{"room":"all","type":"t","pos":"0:%d",%s"ts":1,"data":%s}`, n, prev, value)
		want = wire.AppendFrame(want, wire.OpText, []byte(text))
	}
	var ready, done sync.WaitGroup
	const readers = 3
	blocked := make(chan struct{})
	ready.Add(readers)
	for i := range readers {
		done.Go(func() {
			conn, br := w.dial(fmt.Sprint("r", i), "all")
			defer conn.Close()
			tcp(conn).SetReadBuffer(16 << 10)
			for range 2 { // hello, joined
				if _, err := ws.ReadFrame(br); err != nil {
					t.Error(err)
				}
			}
			ready.Done()
			got := make([]byte, len(want))
			if i > 0 { // a slow reader: it begins when the gateway can send it no more
				<-blocked
			}
			for n := 0; n < len(got); {
				k, err := br.Read(got[n:min(n+1000*(i+1), len(got))])
				if err != nil {
					t.Errorf("reader %d after %d bytes: %v", i, n, err)
					return
				}
				n += k
			}
			if !bytes.Equal(got, want) {
				at := 0
				for got[at] == want[at] {
					at++
				}
				t.Errorf("reader %d: byte %d differs: %.60q, want %.60q", i, at, got[at:], want[at:])
			}
		})
	}
	ready.Wait()
	w.await(func() bool { return w.engine.Stats().Members == readers })
	for n := range messages {
		size := n % 40 * 100
		if n%50 == 49 {
			size = 100 << 10
		}
		w.publish(fmt.Sprintf(`{"N":%d,"Pad":"%s"}`, n, strings.Repeat(string(rune('a'+n%26)), size)), "all")
	}
	w.await(func() bool { return w.engine.Stats().Blocked == readers-1 })
	close(blocked)
	done.Wait()
	if s := w.engine.Stats(); s.Partial == 0 {
		t.Error("no send was partial: the test has shown nothing")
	}
}

// TestTLSCloseBehindRest: close frame and close_notify come behind ciphertext
// that the socket did not take.
func TestTLSCloseBehindRest(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), SendBuffer: 4 << 10})
	conn, br := w.dial("me")
	defer conn.Close()
	tcp(conn).SetReadBuffer(2 << 10)
	c := &client{t: t, conn: conn, br: br}
	big := strings.Repeat("y", 60_000)
	c.write(ws.OpText, big)
	w.await(func() bool { return w.engine.Stats().Blocked == 1 })
	c.write(ws.OpText, "close now")
	seen := false
	for {
		op, got := c.read()
		seen = seen || got == big
		if op == ws.OpClose {
			break
		}
	}
	if _, err := br.Read(make([]byte, 1)); err != io.EOF || !seen {
		t.Errorf("after the close frame: %v; the message came: %v", err, seen)
	}
}
