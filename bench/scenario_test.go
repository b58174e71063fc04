package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestHandshake(t *testing.T) {
	g := newGate(t, "secret")
	res, err := Handshake(t.Context(), HandshakeConfig{Target: g.target(), Count: 25, Batch: 10, Settle: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if res.Latency.Count != 25 || res.Latency.Max <= 0 || res.Token != "HS256" {
		t.Fatalf("%+v", res)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closes != 25 || len(g.conns) != 0 {
		t.Fatalf("%d closing handshakes, %d connections left", g.closes, len(g.conns))
	}
}

func TestIdle(t *testing.T) {
	g := newGate(t, "secret")
	res, err := Idle(t.Context(), IdleConfig{Target: g.target(), Procs: 2, Steps: []int{10, 20, 30}, Settle: time.Millisecond, Touch: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Steps) != 3 || res.Steps[2].Clients != 30 || res.Steps[2].RSS == 0 {
		t.Fatalf("%+v", res)
	}
	// A goroutine for each connection is what this server has.
	if res.Goroutines < 0.5 {
		t.Fatalf("%v goroutines per connection", res.Goroutines)
	}
	g.mu.Lock()
	for _, room := range []string{"user:", "portfolio:", "orders:", "notifications:"} {
		for n := range 30 {
			if g.offsets[room+userName(n)] != 1 {
				t.Errorf("%s got %d messages", room+userName(n), g.offsets[room+userName(n)])
			}
		}
	}
	g.mu.Unlock()
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "per connection") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

func TestIdleBadInput(t *testing.T) {
	g := newGate(t, "secret")
	f := func(want string, edit func(*IdleConfig)) {
		t.Helper()
		cfg := IdleConfig{Target: g.target(), Steps: []int{1, 2}, Settle: time.Millisecond}
		edit(&cfg)
		_, err := Idle(t.Context(), cfg)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("two or more", func(c *IdleConfig) { c.Steps = []int{5} })
	f("two or more", func(c *IdleConfig) { c.Steps = []int{5, 2} })
	f("--touch-topics", func(c *IdleConfig) { c.Touch, c.Target.Direct = true, false })
	f("admin.pprof", func(c *IdleConfig) { c.GC = true })
	f("401", func(c *IdleConfig) { c.Target.Keys.Secret = "wrong" })
}

// A server whose members take turns passes; one that always begins with the same
// member does not.
func TestPassOrder(t *testing.T) {
	g := newGate(t, "secret")
	cfg := PassOrderConfig{Target: g.target(), Clients: 3, Room: "prices", Rate: 100, Messages: 60, Size: 128}
	even, err := PassOrder(t.Context(), cfg)
	var busy *InvalidError // the machine is: messages overtook each other
	if err != nil && !errors.As(err, &busy) {
		t.Fatal(err)
	}
	if even.First.Most > 25 || even.Last.Most > 25 || even.Messages+even.Overlapping != 60 {
		t.Fatalf("%+v", even)
	}
	var fault *FaultError
	g.favourite = true
	res, err := PassOrder(t.Context(), cfg)
	if !errors.As(err, &busy) && (!errors.As(err, &fault) || !strings.Contains(err.Error(), "was first")) || res.First.Most != res.Messages {
		t.Fatalf("%+v, %v", res, err)
	}
	cfg.Messages = 10
	if _, err := PassOrder(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "at least five") {
		t.Fatalf("%v", err)
	}
}

func TestLoadKeys(t *testing.T) {
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	pemFile := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	secretFile := write("secret", []byte("a secret \n"))
	// what a token made from the keys is verified with
	f := func(secret, secretFile, ed, token string, key any) {
		t.Helper()
		k, err := LoadKeys(secret, secretFile, ed, token)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := newSigner(k).sign("bench-1")
		if err != nil {
			t.Fatal(err)
		}
		if key == nil {
			if raw != token {
				t.Fatalf("token %q", raw)
			}
			return
		}
		var c jwt.RegisteredClaims
		if _, err := jwt.ParseWithClaims(raw, &c, func(*jwt.Token) (any, error) { return key, nil }); err != nil || c.Subject != "bench-1" || c.ExpiresAt == nil {
			t.Fatalf("%v, %+v", err, c)
		}
		if again, _ := newSigner(k).sign("bench-1"); again == raw {
			t.Fatal("the same token twice")
		}
	}
	f("s", "", "", "", []byte("s"))
	f("", secretFile, "", "", []byte("a secret "))
	f("", "", pemFile, "", private.Public())
	f("", "", "", "a.b.c", nil)
	f("", "", "", "", nil)
	bad := func(secret, secretFile, ed, token string) {
		t.Helper()
		if _, err := LoadKeys(secret, secretFile, ed, token); err == nil {
			t.Fatal("accepted")
		}
	}
	bad("a", "", "", "b")
	bad("", "/does/not/exist", "", "")
	bad("", "", secretFile, "")
}

func TestParseSources(t *testing.T) {
	f := func(s string, want ...string) {
		t.Helper()
		got, err := ParseSources(s)
		if want == nil && s != "" {
			if err == nil {
				t.Fatalf("%q gave %v", s, got)
			}
			return
		}
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%q gave %v, %v", s, got, err)
		}
	}
	f("")
	f("127.0.0.2-127.0.0.4", "127.0.0.2", "127.0.0.3", "127.0.0.4")
	f("127.0.0.255-127.0.1.0, 10.0.0.1", "127.0.0.255", "127.0.1.0", "10.0.0.1")
	f("127.0.0.4-127.0.0.2")
	f("127.0.0.4-::1")
	f("0.0.0.0-255.255.255.255")
	f("localhost")
	f(",")
}

func TestParseMetrics(t *testing.T) {
	m, err := parseMetrics(strings.NewReader("# HELP x\nprocess_cpu_seconds_total 1.5\n\na{b=\"c d\",e=\"}\"} 7 1699\na{b=\"z\"} 1e3\n"))
	if err != nil || m[metricCPU] != 1.5 || m[`a{b="c d",e="}"}`] != 7 || m.sum("a") != 1007 {
		t.Fatalf("%v, %v", m, err)
	}
	for _, bad := range []string{"x", "x y", "x{a=\"b\"}"} {
		if _, err := parseMetrics(strings.NewReader(bad)); err == nil {
			t.Fatalf("%q was read", bad)
		}
	}
}

func TestParseProcTCP(t *testing.T) {
	f := func(line, local, remote string, queue int64) {
		t.Helper()
		p, n, ok := parseProcTCP(line)
		if !ok || p.local.String() != local || p.remote.String() != remote || n != queue {
			t.Fatalf("%v, %d, %v", p, n, ok)
		}
	}
	f("   1: 0100007F:1F90 0200007F:8001 01 0000A0FF:00000000 00:00000000 00000000 0 0 1 1", "127.0.0.1:8080", "127.0.0.2:32769", 0xa0ff)
	f("   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:8001 01 00000001:00000000 00:0", "127.0.0.1:8080", "127.0.0.2:32769", 1)
	for _, bad := range []string{"", "  sl  local_address rem_address st tx_queue rx_queue", "1: 0100007F:1F90 0200007F 01 0:0"} {
		if _, _, ok := parseProcTCP(bad); ok {
			t.Fatalf("%q was read", bad)
		}
	}
}

// What the endpoint refuses ends the publishing at once, in its own words.
func TestDirectRefused(t *testing.T) {
	g := newGate(t, "")
	to, err := newDirectSink(t.Context(), adminPort{url: g.admin.URL})
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := newValueShape(128, "")
	s, _ := NewSchedule(monotonicIn(0)+anchor(), 1000)
	p := publication{schedule: s, anchor: anchor(), total: 5000, shape: shape,
		deal: deal{Rooms: []string{"nowhere"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err = p.publish(ctx, to); err == nil || !strings.Contains(err.Error(), "entry 0: no room") {
		t.Fatalf("%v", err)
	}
}

// What is published came from the schedule, at its pace, and none is missing.
func TestPublishDirect(t *testing.T) {
	g := newGate(t, "")
	to, err := newDirectSink(t.Context(), adminPort{url: g.admin.URL})
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := newValueShape(128, "")
	a := anchor()
	s, _ := NewSchedule(monotonicIn(-time.Second)+a, 2000) // half of it is late
	p := publication{schedule: s, anchor: a, total: 4000, shape: shape,
		deal: deal{Streams: 2, Rooms: []string{"a", "b"}}}
	out, err := p.publish(t.Context(), to)
	if err != nil || out.Messages != 4000 || g.offsets["a"] != 2000 || g.offsets["b"] != 2000 {
		t.Fatalf("%+v, %v", out, err)
	}
	if q := out.Lag.Quantiles(); q.Count != 4000 || q.Max < 990 || q.P50 > 600 {
		t.Fatalf("lag %v", q)
	}
}
