package e2e

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const floodConfig = `
limits: {messages_per_second: 50, burst: 100}
rooms:
  - {match: "trades", class: stream}
auto_join: [trades]
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
`

// floods are what a client can send without end, and how the gateway answers.
var floods = []struct {
	name        string
	first, then string
	limit       string
	code        int
}{
	{"empty pings", "", raw().ping("").String(), "control_frames", 1008},
	{"full pings", "", raw().ping(strings.Repeat("p", 125)).String(), "control_frames", 1008},
	{"unasked pongs", "", raw().add(0x8A, "").String(), "control_frames", 1008},
	{"empty fragments", raw().add(0x01, "").String(), raw().add(0x00, "").String(), "small_fragments", 1008},
	{"requests", "", raw().text(`{"method":"ping","id":1}`).String(), "messages_per_second", 4108},
}

// TestClientFloods: one connection floods, with a token or without, over TCP or TLS. Another
// client's requests and a new client's handshake are answered. The flooding client is closed
// with the right code, its limit is counted and logged, and the gateway's memory does not grow.
func TestClientFloods(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	for _, secured := range []bool{false, true} {
		yaml := config(k, floodConfig)
		if secured {
			cert, key := selfSigned(t)
			yaml = strings.Replace(yaml, "ping_every: 1s}",
				fmt.Sprintf("ping_every: 1s, tls: {cert_file: %q, key_file: %q}}", cert, key), 1)
		}
		g := start(t, yaml)
		other := wire(t, g, secured, "other")
		other.pings(t)
		before := 0.0
		for _, f := range floods {
			for _, user := range []string{"", "flooder"} {
				t.Run(fmt.Sprintf("%s, TLS %v, user %q", f.name, secured, user), func(t *testing.T) {
					limited := func() float64 { return g.metric("tapecast_limited_total", `limit="`+f.limit+`"`) }
					closed := func() float64 {
						return g.metric("tapecast_closes_total",
							`code="`+strconv.Itoa(f.code)+`"`)
					}
					wasLimited, wasClosed := limited(), closed()
					end := wire(t, g, secured, user).flood(f.first, f.then)
					other.pings(t)
					wire(t, g, secured, "new").pings(t)
					eventually(t, patience, "the flooder's end", func() bool { return closed() > wasClosed })
					if n := limited() - wasLimited; n < 1 || f.code == 1008 && n > 1 {
						t.Errorf("the limit was counted %v times", n)
					}
					g.waitLog(patience, "limit reached", func(l logLine) bool { return l["limit"] == f.limit })
					end()
				})
			}
			if before == 0 { // a round of everything comes first
				before = g.resident()
			}
		}
		if n := g.metric("tapecast_inbox_max_events"); n > 1000 {
			t.Errorf("%v events waited for a loop", n)
		}
		if grown := g.resident() - before; grown > 24 {
			t.Errorf("%.1f MB more are resident", grown)
		}
	}
}

// wired is a bare connection that was upgraded.
type wired struct {
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// wire connects, with a token if there is a user.
func wire(t *testing.T, g *gateway, secured bool, user string) *wired {
	t.Helper()
	var conn net.Conn
	conn, err := net.Dial("tcp", g.public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if secured {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := strings.Replace(rawRequest, "GET /any ", "GET /ws ", 1)
	if user != "" {
		request += "Authorization: Bearer " + g.token(user) + "\r\n"
	}
	w := &wired{conn: conn, in: bufio.NewReader(conn)}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(w.in, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatalf("the upgrade: %v, %v", r, err)
	}
	return w
}

// pings sends a ping and waits for the answer.
func (w *wired) pings(t *testing.T) {
	t.Helper()
	w.id++
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(raw().text(fmt.Sprintf(`{"method":"ping","id":"no-%d"}`, w.id)).Bytes()); err != nil {
		t.Fatal(err)
	}
	// Frames are text, and only the answer holds the id.
	want, got := []byte(fmt.Sprintf(`"no-%d"`, w.id)), []byte(nil)
	for !bytes.Contains(got, want) {
		b, err := w.in.ReadByte()
		if err != nil {
			t.Fatalf("no answer to a ping: %v", err)
		}
		got = append(got, b)
	}
}

// flood writes the first text, and then the other repeatedly until it is closed, for 10 s at
// most. The returned function waits for that.
func (w *wired) flood(first, then string) (end func()) {
	_ = w.conn.SetDeadline(time.Now().Add(10 * time.Second))
	var all sync.WaitGroup
	all.Go(func() {
		block := strings.Repeat(then, 1+100_000/len(then))
		_, err := io.WriteString(w.conn, first)
		for err == nil {
			_, err = io.WriteString(w.conn, block)
		}
	})
	all.Go(func() { _, _ = io.Copy(io.Discard, w.in) })
	return all.Wait
}

// selfSigned writes a certificate for this test.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return put("cert.pem", "CERTIFICATE", cert), put("key.pem", "PRIVATE KEY", der)
}

// TestStoppedGateway: a gateway is stopped for longer than clients may be silent. When it goes
// on it cuts no client, neither those that are pinged nor those that get positions.
func TestStoppedGateway(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	g := start(t, config(k, strings.Replace(floodConfig, "limits: {messages_per_second: 50, burst: 100}",
		"server: {listen: \"127.0.0.1:0\", ping_every: 500ms, pong_timeout: 2s}", 1)))
	var clients []*client
	for i := range 40 {
		c := dial(t, g, dialing{query: "?join=manual&token=" + g.token(fmt.Sprint("u", i))})
		c.notice("authenticated")
		c.call("authenticate", map[string]any{"join": []string{}, "positions": i%2 == 0})
		clients = append(clients, c)
	}
	lives := func(seconds float64) {
		t.Helper()
		from := g.metric("tapecast_uptime_seconds")
		eventually(t, patience, "time to pass",
			func() bool { return g.metric("tapecast_uptime_seconds") > from+seconds })
	}
	lives(1)
	g.suspend(4 * time.Second) // twice what is allowed
	lives(4)
	for _, c := range clients {
		if r := c.call("ping", nil); r.Error != nil {
			t.Errorf("%s: %v", c.name, r.Error)
		}
	}
	if n := g.metric("tapecast_pong_timeouts_total"); n != 0 {
		t.Errorf("%v clients were cut", n)
	}
}
