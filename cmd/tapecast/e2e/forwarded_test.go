package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestForwardedFor: behind a proxy that speaks HTTP, plain and with TLS, limits, log and security log
// use the client's address. Nobody else can claim one.
func TestForwardedFor(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			files, log := "", filepath.Join(t.TempDir(), "security.log")
			if secure {
				files = ", tls: {FILES}"
			}
			yaml, trust := secureConfig(t, "proxy: {http: {trusted: [127.0.2.1, 10.0.0.0/8]}}"+files,
				"connections_per_address: 2, bad_tokens_per_second: 0.1")
			if !secure {
				trust = nil
			}
			yaml = strings.Replace(yaml, "log: {", fmt.Sprintf("log: {security: %q, ", log), 1)
			g := start(t, yaml)
			via := func(list string) int {
				return upgraded(g, connect(t, g, source(1), nil, trust), "X-Forwarded-For: "+list)
			}
			for n, want := range []int{101, 101, 503} {
				claim := fmt.Sprintf("203.0.113.%d, 198.51.100.1, 10.0.0.2", n) // another one each time
				if s := via(claim); s != want {
					t.Errorf("connection %d of one address: %d, want %d", n+1, s, want)
				}
			}
			for n := range 4 {
				if s := via(fmt.Sprintf("203.0.113.%d:4000", n)); s != 101 {
					t.Errorf("another address: %d", s)
				}
				if s := upgraded(g, connect(t, g, source(1), nil, trust)); s != 101 {
					t.Errorf("the proxy's own: %d", s)
				}
			}
			ofClient := func(l logLine) bool { return hostOf(l["remote"]) == "198.51.100.1" }
			g.waitLog(patience, "limit of sockets reached", ofClient)
			eventually(t, patience, "the security log names the client", func() bool {
				b, _ := os.ReadFile(log)
				return strings.Contains(string(b), "198.51.100.1")
			})
			if s := via("nonsense"); s != 400 {
				t.Errorf("a field that cannot be read: %d", s)
			}
			if n := g.metric("tapecast_forwarded_refused_total"); n != 1 {
				t.Errorf("%v requests are counted", n)
			}
			for n, want := range []int{101, 101, 503} { // of an address that claims others
				conn := connect(t, g, source(200), nil, trust)
				if s := upgraded(g, conn, fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", 100+n)); s != want {
					t.Errorf("connection %d of a stranger: %d, want %d", n+1, s, want)
				}
			}
		})
	}
}

// TestConnectRates: clients of an address that come too fast are told 429, and those of all 503, both
// with the time after which they are let in.
func TestConnectRates(t *testing.T) {
	besideOthers(t)
	g := start(t, config(nil, `
limits: {connects_per_address: 0.4, connects_per_second: 1}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`))
	try := func(n int) (status, retry int) {
		t.Helper()
		conn := connect(t, g, source(n), nil, nil)
		fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		retry, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
		return resp.StatusCode, retry
	}
	refused := func(n, want int) (retry int) {
		t.Helper()
		for range 100 {
			status, retry := try(n)
			if status == want && retry > 0 {
				return retry
			}
			if status != 101 {
				t.Fatalf("address %d is answered %d, after %d s", n, status, retry)
			}
			n += want / 503 // another address, unless its own limit is meant
		}
		t.Fatalf("nobody is answered %d", want)
		return 0
	}
	wait := refused(1, 429)
	refused(2, 503)
	due(time.Now(), time.Duration(wait)*time.Second)
	var status ws.StatusError
	for { // 503 until all together may come again
		c, err := tryDial(t, g, dialing{from: source(1)})
		if err == nil {
			c.leave()
			break
		}
		if !errors.As(err, &status) || int(status) != 503 {
			t.Fatalf("later: %v", err)
		}
		due(time.Now(), 200*time.Millisecond)
	}
	for _, limit := range []string{"connects_per_address", "connects_per_second"} {
		if g.metric("tapecast_limited_total", "limit", limit) == 0 {
			t.Errorf("%s is not counted", limit)
		}
	}
}
