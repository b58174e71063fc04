package e2e

import (
	"net"
	"strings"
	"testing"
	"time"
)

// socketsConfig allows few sockets.
const socketsConfig = `
limits: {connections: 100, connections_per_address: 5}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`

// source returns another client's address on this machine.
func source(n int) net.IP { return net.IPv4(127, 0, 2, byte(n)) }

// silentSockets opens n sockets of one address that send the given bytes, and no more.
func silentSockets(t *testing.T, g *gateway, from net.IP, n int, say []byte) {
	t.Helper()
	for range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
		conn, err := d.Dial("tcp", g.public)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write(say); len(say) > 0 && err != nil {
			t.Fatal(err)
		}
	}
}

// TestSilentSocketsShutNobodyOut: one address has more sockets than are allowed. Each sends nothing,
// half a request, or nothing after its upgrade. Clients elsewhere get in, and the limit is counted
// and logged with the address.
func TestSilentSocketsShutNobodyOut(t *testing.T) {
	besideOthers(t)
	f := func(name string, say string) {
		t.Run(name, func(t *testing.T) {
			g := start(t, config(nil, socketsConfig))
			silentSockets(t, g, source(1), 150, []byte(say))
			for n := range 20 {
				c := dial(t, g, dialing{query: "?token=" + g.token("1"), from: source(2 + n)})
				c.notice("authenticated")
			}
			eventually(t, patience, "the limit is counted", func() bool {
				return g.metric("tapecast_limited_total", "limit", "connections_per_address") == 145
			})
			g.waitLog(patience, "limit of sockets reached", func(l logLine) bool {
				return l["limit"] == "connections_per_address" && hostOf(l["remote"]) == "127.0.2.1"
			})
		})
	}
	f("silent", "")
	f("half a request", "GET /ws HTTP/1.1\r\nHost: x\r\n")
	f("upgraded", "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
}

// TestFairWithoutLimits: the same without a limit for an address: the one with the most gives way.
func TestFairWithoutLimits(t *testing.T) {
	g := start(t, config(nil, `
limits: {connections: 100, half_open: 50, pending: 60}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`))
	silentSockets(t, g, source(1), 200, nil)
	for range 100 {
		dial(t, g, dialing{from: source(1)}) // up to 60 wait to authenticate, and others are refused
		if g.metric("tapecast_pending_authentications") == 60 {
			break
		}
	}
	for n := range 60 {
		c := dial(t, g, dialing{query: "?token=" + g.token("1"), from: source(2 + n)})
		c.notice("authenticated")
	}
	for _, limit := range []string{"half_open", "pending"} {
		if g.metric("tapecast_limited_total", "limit", limit) == 0 {
			t.Errorf("%s is not counted", limit)
		}
	}
	if n := g.metric("tapecast_half_open_connections"); n > 50 {
		t.Errorf("%v are half-open", n)
	}
}

// hostOf returns the address of an address and port in a log line.
func hostOf(v any) string {
	s, _ := v.(string)
	host, _, _ := net.SplitHostPort(s)
	return host
}

// TestDribbledRequest: a request that comes a byte at a time must end within the handshake's time.
func TestDribbledRequest(t *testing.T) {
	besideOthers(t)
	g := start(t, config(nil, `
server: {listen: "127.0.0.1:0", handshake_timeout: 1s}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`))
	conn, err := net.Dial("tcp", g.public)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan struct{})
	go func() {
		conn.Read(make([]byte, 1))
		close(ended)
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	request := []byte("GET /ws HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<10))
	for i := 0; ; i++ {
		select {
		case <-ended:
			if n := g.metric("tapecast_handshake_timeouts_total"); n != 1 {
				t.Errorf("%v timeouts are counted", n)
			}
			return
		case <-tick.C:
			if i == 600 {
				t.Fatal("still read")
			}
			conn.Write(request[i : i+1])
		}
	}
}
