package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

const streamCostsConfig = `
limits: {connections_per_user: 0}
classes: {kept: {retain: {age: 1m}}}
rooms:
  - {match: pace, class: kept}
auto_join: []
ingest:
  routes:
    - {topic: pace, rooms: [pace], key: "{@key}", type: t}
`

// streamKinds are requests by which a client gets the messages of the room.
var streamKinds = []struct{ name, request string }{
	{"WebSocket", "GET /ws?join=manual HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost: x\r\n%s\r\n"},
	{"POST", "POST /stream HTTP/1.1\r\nHost: x\r\n%sContent-Length: 18\r\n\r\n" + `{"rooms":["pace"]}`},
	{"GET", "GET /stream/pace HTTP/1.1\r\nHost: x\r\n%s\r\n"},
}

// streamCost is what a gateway has taken for one kind of client.
type streamCost struct {
	cpu    [2]float64 // microseconds a message: one at a time, and in bursts
	memory float64    // bytes a client
}

// TestStreamCosts: what clients cost that read events, beside those of WebSockets. In a full run a client costs at
// most twice as much, in processor time and memory.
func TestStreamCosts(t *testing.T) {
	besideOthers(t)
	clients, rounds := 100, 20
	if scaled().full() {
		clients, rounds = 4000, 200
	}
	k := fakeCluster(t)
	k.topic(t, "pace", 1)
	var costs []streamCost
	for _, kind := range streamKinds {
		c := costOf(t, k, kind.request, clients, rounds)
		costs = append(costs, c)
		t.Logf("%-9s %.2f us a message alone, %.2f in bursts of 80; %.0f bytes a client", kind.name, c.cpu[0], c.cpu[1],
			c.memory)
	}
	for i, c := range costs[1:] {
		ws := costs[0]
		if scaled().full() && (c.cpu[0] > 2*ws.cpu[0] || c.cpu[1] > 2*ws.cpu[1] || c.memory > 2*ws.memory) {
			t.Errorf("a client by %s costs more than twice a WebSocket's", streamKinds[i+1].name)
		}
	}
}

// costOf measures a gateway with so many clients that ask by the request.
func costOf(t *testing.T, k *cluster, request string, clients, rounds int) (c streamCost) {
	t.Helper()
	g := start(t, config(k, streamCostsConfig))
	defer g.stop(patience)
	memory := func() float64 { return g.metric("process_resident_memory_anon_bytes") }
	before := memory()
	var had carets
	ask := fmt.Sprintf(request, "Authorization: Bearer "+g.token("42")+"\r\n")
	for range clients {
		conn, err := net.Dial("tcp", g.public)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, ask)
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		if err != nil || !strings.Contains(line, " 101 ") && !strings.Contains(line, " 200 ") {
			t.Fatalf("answered by %q, %v", line, err)
		}
		if strings.HasPrefix(request, "GET /ws") {
			conn.Write(maskedText(`{"method":"authenticate","params":{"join":["pace"]},"id":1}`))
		}
		go io.Copy(&had, in)
	}
	eventually(t, patience, "all are in the room", func() bool {
		return g.metric("tapecast_subscriptions") == float64(clients)
	})
	c.memory = (memory() - before) / float64(clients)
	w, pad := k.producer(t), strings.Repeat("x", 120)
	for i, burst := range []int{1, 80} {
		begun, cpu := had.n.Load(), g.metric("process_cpu_seconds_total")
		n := rounds
		if burst > 1 {
			n = rounds / 4
		}
		for range n {
			at := had.n.Load()
			for range burst {
				w.send("pace", 0, []byte("k"), []byte(`{"p":"^`+pad+`"}`))
			}
			w.flush()
			eventually(t, patience, "all have it", func() bool { return had.n.Load() >= at+int64(burst*clients) })
		}
		c.cpu[i] = (g.metric("process_cpu_seconds_total") - cpu) * 1e6 / float64(had.n.Load()-begun)
	}
	return c
}

// carets counts messages by a byte that each has once, and that no header of theirs has.
type carets struct{ n atomic.Int64 }

func (c *carets) Write(b []byte) (int, error) {
	c.n.Add(int64(bytes.Count(b, []byte("^"))))
	return len(b), nil
}

// maskedText is the frame of a client's text of less than 126 bytes, masked with zeros.
func maskedText(s string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(s)), 0, 0, 0, 0}, s...)
}
