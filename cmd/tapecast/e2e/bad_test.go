package e2e

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const badConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, handshake_timeout: 500ms}
auth: {secret: "an end-to-end test's own secret: 32+", timeout: TIMEOUT}
rooms:
  - {match: "trades", class: stream}
  - {match: "trades:*", class: stream}
  - {match: "orders:{owner}", class: private}
auto_join: [trades, "orders:{sub}"]
ingest:
  routes:
    - {topic: trades, rooms: [trades, "trades:{s}"], type: trade_update}
    - {topic: orders, rooms: ["orders:{@key}"], type: order_update}
`

// TestBadInputLeavesNothingBehind sends everything that a client must not send, round after
// round, and then checks what the gateway holds.
func TestBadInputLeavesNothingBehind(t *testing.T) {
	sc := scaled()
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	g := start(t, config(k, strings.Replace(badConfig, "TIMEOUT", idleTime(sc.idle).String(), 1)))

	round := func() {
		t.Helper()
		badMessages(t, g)
		badMoments(t, g)
		halfHandshakes(t, g, 20)
		neverReads(t, g)
		neverAuthenticate(t, g, sc.idle)
	}
	round() // for what is made once, such as pools and the poller's buffers
	g.empty()
	fds, goroutines, heap := g.descriptors(), g.metric("go_goroutines"), g.heap()
	for range sc.rounds {
		round()
	}
	g.empty()
	eventually(t, patience, "descriptors and goroutines are back", func() bool {
		return g.descriptors() <= fds && g.metric("go_goroutines") <= goroutines
	})
	grown := g.heap() - heap
	t.Logf("after %d rounds: %d descriptors, %v goroutines, heap grown by %.0f KB", sc.rounds, g.descriptors(),
		g.metric("go_goroutines"), grown/1024)
	if grown > 1<<20 {
		t.Errorf("the heap has grown by %.0f bytes", grown)
	}
}

// empty waits until the gateway has no connection.
func (g *gateway) empty() {
	g.t.Helper()
	eventually(g.t, patience, "no connection is left", func() bool { return g.connections() == 0 })
}

// badMessages has one line a case: the message, the id of the reply, its error.
func badMessages(t *testing.T, g *gateway) {
	t.Helper()
	c := join(t, g, "7")
	f := func(message, id string, code int) {
		t.Helper()
		c.mu.Lock()
		delete(c.replies, id)
		c.mu.Unlock()
		c.sendText(message)
		switch r := c.reply(id); {
		case code == 0 && r.Error != nil:
			t.Errorf("%.80s: error %+v", message, *r.Error)
		case code != 0 && r.Error == nil:
			t.Errorf("%.80s: no error but %s", message, r.Result)
		case code != 0 && (r.Error.Code != code || r.Error.Message == ""):
			t.Errorf("%.80s: error %+v, want %d", message, *r.Error, code)
		}
	}
	f(`hello`, "null", -32700)
	f(`{"method":`, "null", -32700)
	f(``, "null", -32700)
	f(strings.Repeat(`[`, 10_000), "null", -32700)
	f(`{"method":"ping","id":1}{}`, "null", -32700)
	f(`[]`, "null", -32600)
	f(`"ping"`, "null", -32600)
	f(`{"id":1}`, "1", -32600)
	f(`{"op":"subscribe","args":["trades"]}`, "null", -32600) // not a request, so not a notification
	f(`{"method":7,"id":1}`, "1", -32600)
	f(`{"jsonrpc":"1.0","method":"ping","id":1}`, "1", -32600)
	f(`{"method":"nope","id":2}`, "2", -32601)
	f(`{"method":"__proto__","id":2}`, "2", -32601)
	f(`{"method":"subscribe","id":3}`, "3", -32602)
	f(`{"method":"subscribe","params":"trades","id":3}`, "3", -32602)
	f(`{"method":"subscribe","params":{"rooms":[]},"id":3}`, "3", -32602)
	f(`{"method":"subscribe","params":{"rooms":[1]},"id":3}`, "3", -32602)
	f(`{"method":"subscribe","params":{"rooms":{"a":1}},"id":3}`, "3", -32602)

	f(`{"method":"ping","id":0}`, "0", 0)
	f(`{"method":"ping","id":-1}`, "-1", 0)
	f(`{"method":"PING","id":9223372036854775807}`, "9223372036854775807", 0)
	f(`{"method":"heartbeat","id":"a"}`, `"a"`, 0)
	f(`{"method":"ping","id":"`+strings.Repeat("é", 36)+`"}`, `"`+strings.Repeat("é", 36)+`"`, 0)
	f(`{"method":"ping","id":null}`, "null", 0)
	f(`{"method":"ping","id":"`+strings.Repeat("e", 37)+`"}`, `"`+strings.Repeat("e", 37)+`"`, -32600)
	f(`{"method":"ping","id":1.5}`, "1.5", -32600)
	f(`{"method":"ping","id":true}`, "null", -32600)
	f(`{"method":"ping","id":{}}`, "null", -32600)
	f(`{"method":"ping","id":[1]}`, "null", -32600)
	f(`{"method":"ping","id":99999999999999999999}`, "99999999999999999999", -32600)
	// A notification has no answer: the next reply is the next request's.
	c.sendText(`{"method":"ping"}`)
	f(`{"method":"ping","id":4}`, "4", 0)
	c.check()
	c.leave()

	closes(t, g, ws.NewTextFrame([]byte("{\"method\":\"ping\",\"id\":\"\xff\"}")), 1007)
	closes(t, g, ws.NewTextFrame(bytes.Repeat([]byte(" "), 1<<20)), 1009)
	closes(t, g, ws.NewBinaryFrame([]byte(`{"method":"ping","id":1}`)), 1003)
	closes(t, g, ws.NewFrame(ws.OpCode(3), true, nil), 1002)
	closes(t, g, ws.NewFrame(ws.OpContinuation, true, nil), 1002)
	closes(t, g, ws.NewPingFrame(make([]byte, 126)), 1002)
}

// closes sends a frame and demands a close code.
func closes(t *testing.T, g *gateway, f ws.Frame, code int) {
	t.Helper()
	c := join(t, g, "7")
	c.write(f)
	if got := c.awaitClose(patience); got != code {
		t.Errorf("opcode %d with %d bytes: closed with %d %q, want %d", f.Header.OpCode, len(f.Payload),
			got, c.reason, code)
	}
}

// badMoments sends valid requests at the wrong time.
func badMoments(t *testing.T, g *gateway) {
	t.Helper()
	c := dial(t, g, dialing{})
	c.notice("auth_required")
	for _, m := range []string{"subscribe", "unsubscribe", "list_subscriptions", "ping"} {
		if r := c.call(m, map[string]any{"rooms": []string{"trades"}}); r.Error == nil || r.Error.Code != -32001 {
			t.Errorf("%s before authentication: %+v %s", m, r.Error, r.Result)
		}
	}
	// The second comes while the first is checked: it is refused, or renews the token.
	token := map[string]any{"token": g.token("7")}
	c.request("900", "authenticate", token)
	c.request("901", "authenticate", token)
	if r := c.reply("900"); r.Error != nil {
		t.Errorf("authenticate: %+v", r.Error)
	}
	if r := c.reply("901"); r.Error != nil && r.Error.Code != -32600 {
		t.Errorf("a second authenticate while the first is checked: %+v", r.Error)
	}
	c.notice("auto_subscribed")
	if r := c.call("ping", nil); r.Error != nil {
		t.Errorf("ping after two authenticates: %+v", r.Error)
	}
	c.mu.Lock()
	if n := slices.IndexFunc(c.notices,
		func(n notice) bool { return n.Method == "auto_subscribed" }); slices.ContainsFunc(c.notices[n+1:],
		func(n notice) bool { return n.Method == "auto_subscribed" }) {
		t.Error("two authenticates joined the automatic rooms twice")
	}
	c.mu.Unlock()
	c.check()
	c.leave()

	// Clients end without a close frame, in every state.
	for _, d := range []dialing{{}, {query: "?token=" + g.token("8")}} {
		c := dial(t, g, d)
		c.conn.(*net.TCPConn).SetLinger(0)
		c.conn.Close()
	}
}

// halfHandshakes leaves upgrade requests incomplete until the gateway closes them.
func halfHandshakes(t *testing.T, g *gateway, n int) {
	t.Helper()
	var conns []net.Conn
	parts := []string{"", "G", "GET /ws HTTP/1.1\r\nHost: x\r\nUpgr"}
	for i := range n * len(parts) {
		c, err := net.Dial("tcp", g.public)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, parts[i%len(parts)])
		conns = append(conns, c)
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/1.1 408")) {
			t.Fatalf("half a handshake %q ended with %q, %v", parts[i%len(parts)], b, err)
		}
	}
	for _, whole := range []struct{ request, status string }{
		{"GET /nothing HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: " +
			"13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "404"},
		{"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "426"},
		{"POST /ws HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
		{"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400"},
		{"GET /ws HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 100_000) + "\r\n\r\n", "431"},
	} {
		c, err := net.Dial("tcp", g.public)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, whole.request)
		c.SetReadDeadline(time.Now().Add(patience))
		b, _ := io.ReadAll(c)
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 "+whole.status)) {
			t.Errorf("%.40q is answered %.60q, want %s", whole.request, b, whole.status)
		}
	}
}

// neverReads sends requests and reads no answer, until the gateway closes it: the answers that
// wait are bounded. Other clients are served meanwhile.
func neverReads(t *testing.T, g *gateway) {
	t.Helper()
	other := join(t, g, "10")
	ends := g.metric("tapecast_closes_total", `code="1008"`)
	conn, err := dialRaw(g.url() + "?token=" + g.token("9"))
	if err != nil {
		t.Fatal(err)
	}
	one := ws.MustCompileFrame(
		ws.MaskFrame(ws.NewTextFrame([]byte(`{"method":"list_subscriptions","id":"` + strings.Repeat("x", 36) + `"}`))))
	many := bytes.Repeat(one, 500)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for {
			if _, err := conn.Write(many); err != nil {
				return // closed, by the gateway or below
			}
		}
	}()
	eventually(t, patience, "the end of a client that never reads", func() bool {
		began := time.Now()
		other.call("ping", nil)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("beside a client that never reads a ping took %s", d)
		}
		return g.metric("tapecast_closes_total", `code="1008"`) > ends
	})
	conn.Close()
	<-wrote
	other.leave()
}

// idleTime returns a time in which all n connections can wait at once.
func idleTime(n int) time.Duration { return time.Second + time.Duration(n)*500*time.Microsecond }

// neverAuthenticate opens connections that send nothing.
func neverAuthenticate(t *testing.T, g *gateway, n int) {
	t.Helper()
	conns := make([]net.Conn, n)
	began := time.Now()
	for i := range conns {
		c, err := dialRaw(g.url())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns[i] = c
		defer c.Close()
	}
	opened := time.Since(began)
	if pending := *g.services().PendingAuthentications; pending != n && time.Since(began) < idleTime(n) {
		t.Errorf("%d of %d connections wait for authentication after %s", pending, n, opened)
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(c)
		late, end := bytes.Contains(b, []byte(`"code":-32003`)), bytes.Contains(b, []byte{0x88})
		if err != nil || !bytes.Contains(b, []byte("auth_required")) || !late || !end ||
			!bytes.Contains(b, []byte{4004 >> 8, 4004 & 0xff}) {
			t.Fatalf("connection %d of %d (opened in %s) that never authenticates got %q, %v", i, n, opened, b, err)
		}
		c.Close()
	}
}
