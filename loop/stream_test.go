package loop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
)

// eventReader is a client that reads events.
type eventReader struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
	head string // of the answer
}

// stream asks for a stream. The lines of the body are what joiner.Message understands.
func (w *world) stream(query, body string) *eventReader {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if w.trust != nil {
		conn = tls.Client(conn, w.trust)
	}
	conn.SetDeadline(time.Now().Add(testwait.Patience))
	fmt.Fprintf(conn, "POST /stream?%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", query, len(body), body)
	r := &eventReader{t: w.t, conn: conn, br: bufio.NewReader(conn)}
	for !strings.HasSuffix(r.head, "\r\n\r\n") {
		line, err := r.br.ReadString('\n')
		if err != nil {
			w.t.Fatalf("no answer but %q: %v", r.head, err)
		}
		r.head += line
	}
	return r
}

// next reads one event or comment: its id, its name and its data.
func (r *eventReader) next() (id, name, data string) {
	r.t.Helper()
	var lines []string
	for {
		line, err := r.br.ReadString('\n')
		if err != nil {
			r.t.Fatalf("the stream ended: %v, after %q", err, lines)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch value = strings.TrimPrefix(value, " "); {
		case line == "\n":
			return id, name, strings.Join(lines, "\n")
		case line == ":\n":
			name = "ping"
		case field == "retry":
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			lines = append(lines, value)
		default:
			r.t.Fatalf("a line %q", line)
		}
	}
}

func (r *eventReader) data() string { r.t.Helper(); _, _, data := r.next(); return data }

// TestStream: a reader of events gets what a client of a WebSocket gets, with TLS and without, however
// large it is and however slowly the reader reads.
func TestStream(t *testing.T) {
	for name, cfg := range map[string]Config{"plain": {}, "tls": {TLS: testTLS(t)}} {
		t.Run(name, func(t *testing.T) {
			cfg.Stream, cfg.SendBuffer = "/stream", 8<<10
			w := newWorld(t, cfg, &rooms.Class{Name: "stream", RetainBytes: 64 << 20})
			conn, br := w.dial("me", "all", "own:7")
			defer conn.Close()
			socket := &client{t: t, conn: conn, br: br}
			socket.read()
			socket.read()
			events := w.stream("", "join all,own:7")
			if !strings.Contains(events.head, "200 OK") || !strings.Contains(events.head, "text/event-stream") {
				t.Fatalf("the answer %q", events.head)
			}
			if got := events.data(); !strings.HasPrefix(got, "join all") {
				t.Fatalf("joined by %q", got)
			}
			const n = 600
			for i := range n {
				room, value := "all", strings.Repeat("x", i*i%9000)
				switch i % 50 {
				case 7:
					room = "own:7"
				case 13:
					value = "1\n\r\n2\r3"
				case 17:
					value = strings.Repeat("y", 80_000)
				}
				w.publish(value, room)
			}
			plain := strings.NewReplacer("\r\n", "\n", "\r", "\n")
			byRoom := func(next func() string) (all, own []string) {
				for range n {
					text := next()
					if strings.Contains(text, "own:7") {
						own = append(own, text)
					} else {
						all = append(all, text)
					}
				}
				return all, own
			}
			wantAll, wantOwn := byRoom(func() string { _, text := socket.read(); return plain.Replace(text) })
			gotAll, gotOwn := byRoom(events.data)
			if !slices.Equal(gotAll, wantAll) || !slices.Equal(gotOwn, wantOwn) {
				t.Errorf("%d and %d events differ from %d and %d messages", len(gotAll), len(gotOwn), len(wantAll),
					len(wantOwn))
			}
		})
	}
}

// TestStreamEnds: a stream ends with an event that says why, and then with the connection.
func TestStreamEnds(t *testing.T) {
	for name, cfg := range map[string]Config{"plain": {}, "tls": {TLS: testTLS(t)}} {
		t.Run(name, func(t *testing.T) {
			cfg.Stream = "/stream"
			w := newWorld(t, cfg)
			r := w.stream("", "hello\nclose why \"so\"\nnever said")
			if got := r.data(); got != "hello" {
				t.Errorf("first %q", got)
			}
			if _, name, data := r.next(); name != "close" || data != `{"code":4321,"reason":"why \"so\""}` {
				t.Errorf("the event %s: %s", name, data)
			}
			if b, err := io.ReadAll(r.br); err != nil || len(b) > 0 {
				t.Errorf("after the last event: %q, %v", b, err)
			}
			r.conn.Close()
			if code := <-w.closed; code != 4321 {
				t.Errorf("closed with %d", code)
			}
			gone := w.stream("", "hello")
			gone.conn.Close()
			if code := <-w.closed; code != 1006 {
				t.Errorf("gone with %d", code)
			}
		})
	}
}

// TestStreamPings: a quiet stream has comments or `positions`, which the client need not answer. A
// client that takes nothing is gone after a while, since the kernel ends its connection.
func TestStreamPings(t *testing.T) {
	w := newWorld(t, Config{Stream: "/stream", PingEvery: 200 * time.Millisecond, PongTimeout: 100 * time.Millisecond,
		SendBuffer: 4 << 10})
	plain, placed := w.stream("", "auth plain"), w.stream("marked", "auth positions\njoin all")
	if id, _, data := placed.next(); id != "" || !strings.HasPrefix(data, "join all") {
		t.Fatalf("joined by %q with the id %q", data, id)
	}
	for range 5 { // longer than a client of a WebSocket may be silent
		if _, name, _ := plain.next(); name != "ping" {
			t.Errorf("an event %q", name)
		}
	}
	w.publish("1", "side")
	want := `"all":{"epoch":"e1","0":0}`
	testwait.Until(t, testwait.Patience, "positions with their id", func() bool {
		id, _, data := placed.next()
		return id == "e1/0:0" && strings.HasPrefix(data, wire.PositionsHead) && strings.Contains(data, want)
	})
	for len(w.closed) > 0 {
		t.Fatalf("a stream was closed with %d", <-w.closed)
	}

	stalled := w.stream("", "join all")
	tcp(stalled.conn).SetReadBuffer(4 << 10)
	stalled.data()
	for range 100 {
		w.publish(strings.Repeat("x", 20_000), "all")
	}
	go io.Copy(io.Discard, placed.br)
	if code := <-w.closed; code != 1006 {
		t.Errorf("the client that takes nothing is closed with %d", code)
	}
}

// TestStreamIDs: each event of a stream for one room says where its reader is then. A client that
// comes back with any of these ids gets exactly what came after it.
func TestStreamIDs(t *testing.T) {
	w := newWorld(t, Config{Stream: "/stream"})
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			w.publish(fmt.Sprint(i), "side", "all")
		}
	}
	publish(0, 10)
	w.settle()
	r := w.stream("marked", "join all")
	r.data()
	publish(10, 30)
	ids := map[int]string{}
	for i := 10; i < 30; i++ {
		id, _, data := r.next()
		if ids[i] = id; id == "" || !strings.HasSuffix(data, fmt.Sprintf(`"data":%d}`, i)) {
			t.Fatalf("event %d has the id %q: %s", i, id, data)
		}
	}
	for i := 10; i < 29; i++ {
		_, place, _ := strings.Cut(ids[i], "/0:")
		again := w.stream("marked", "since all=e1:"+place)
		again.data()
		for k := i + 1; k < 30; k++ {
			if id, _, data := again.next(); id != ids[k] || !strings.HasSuffix(data, fmt.Sprintf(`"data":%d}`, k)) {
				t.Fatalf("after %s event %d has the id %s, want %s: %s", ids[i], k, id, ids[k], data)
			}
		}
		again.conn.Close()
	}
	last := w.stream("marked", "snap last")
	last.data()
	w.publishKey("a", "1", "last")
	if id, _, _ := last.next(); id == "" {
		t.Error("a last value that comes alone has no id")
	}
	again := w.stream("marked", "snap last")
	for again.data(); ; {
		id, _, data := again.next()
		if id != "" {
			t.Errorf("within a snapshot, the id %s: %s", id, data)
		}
		if strings.Contains(data, "snapshot_end") {
			break
		}
	}
}

// TestStreamBody: incomplete bodies count as incomplete messages, and what follows a body is nothing.
func TestStreamBody(t *testing.T) {
	w := newWorld(t, Config{Stream: "/stream", MaxIncoming: 100 << 10, HandshakeTimeout: testwait.Patience})
	half := func() net.Conn {
		conn, err := net.Dial("tcp", w.engine.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.Write(append(fmt.Appendf(nil, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"),
			bytes.Repeat([]byte("x"), 50_000)...))
		return conn
	}
	first := half()
	w.await(func() bool { return w.engine.incoming.bytes() > 50_000 })
	second := half()
	if b, err := io.ReadAll(first); len(b) > 0 {
		t.Errorf("the oldest is told %q, %v", b, err)
	}
	w.await(func() bool { n := w.engine.incoming.bytes(); return n > 50_000 && n < 100_000 })
	second.Close()
	w.await(func() bool { return w.engine.incoming.bytes() == 0 })

	r := w.stream("", "hello")
	r.conn.Write([]byte("GET /ws HTTP/1.1\r\n\r\n"))
	if r.data() != "hello" {
		t.Error("no greeting")
	}
	w.publish("1", "all")
	r.conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(r.br); err != nil || len(b) > 0 {
		t.Errorf("input after the body is answered by %q, %v", b, err)
	}
}
