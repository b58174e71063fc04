package loop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
)

// testTLS is a server's side with a certificate made for this test.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// trusting is the client's side.
func trusting(server *tls.Config) *tls.Config {
	cert, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{RootCAs: pool, ServerName: "test", NextProtos: []string{"h2", "http/1.1"}}
}

func (w *world) state(conn net.Conn) tls.ConnectionState { return conn.(*tls.Conn).ConnectionState() }

// TestTLSEcho: messages of all sizes, whole and in fragments, in both versions.
func TestTLSEcho(t *testing.T) {
	f := func(version uint16, suite uint16) {
		t.Helper()
		w := newWorld(t, Config{TLS: testTLS(t), MaxMessage: 1 << 20})
		w.trust.MaxVersion = version
		if suite != 0 {
			w.trust.CipherSuites = []uint16{suite}
		}
		conn, br := w.dial("me")
		defer conn.Close()
		if s := w.state(conn); s.Version != version || s.NegotiatedProtocol != "http/1.1" {
			t.Errorf("version %x with %q", s.Version, s.NegotiatedProtocol)
		}
		c := &client{t: t, conn: conn, br: br}
		c.read() // hello
		c.read() // joined
		for _, n := range []int{0, 1, 125, 126, 16383, 16384, 16385, 70_000, 1 << 20} {
			want := strings.Repeat("x", n)
			c.write(ws.OpText, want)
			if _, got := c.read(); got != want {
				t.Fatalf("%d bytes came back as %d", n, len(got))
			}
		}
		for i := range 100 {
			ws.WriteFrame(conn, ws.MaskFrame(ws.NewFrame(ws.OpText, false, []byte{byte('a' + i%26)})))
			c.write(ws.OpPing, "p")
			c.write(ws.OpContinuation, "end")
			if op, _ := c.read(); op != ws.OpPong {
				t.Fatalf("%v in a pong's place", op)
			}
			if _, got := c.read(); got != string(rune('a'+i%26))+"end" {
				t.Fatalf("fragments came back as %q", got)
			}
		}
	}
	f(tls.VersionTLS13, 0)
	f(tls.VersionTLS12, 0)
	f(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)
}

// TestTLSBytewise: ciphertext that comes a byte at a time, handshake and all.
func TestTLSBytewise(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t)})
	raw, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(bytewise{raw}, w.trust)
	fmt.Fprint(conn, get("/ws?me"))
	r := make([]byte, 1<<10)
	if n, err := conn.Read(r); err != nil || !strings.HasPrefix(string(r[:n]), "HTTP/1.1 101") {
		t.Errorf("got %q, %v", r[:n], err)
	}
}

type bytewise struct{ net.Conn }

func (b bytewise) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := b.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestTLSClose: after the close frame comes close_notify, and only then the end.
func TestTLSClose(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t)})
	conn, br := w.dial("me")
	defer conn.Close()
	c := &client{t: t, conn: conn, br: br}
	c.write(ws.OpText, "close because")
	for {
		if op, got := c.read(); op == ws.OpClose {
			if got != "\x10\xe1because" {
				t.Errorf("closed with %q", got)
			}
			break
		}
	}
	// crypto/tls says EOF for close_notify, and ErrUnexpectedEOF for a bare end.
	if _, err := br.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the close frame: %v, not close_notify", err)
	}
	conn.Close()
	if code := <-w.closed; code != 4321 {
		t.Errorf("the handler was told %d", code)
	}
	// A client that says close_notify without a close frame is gone.
	other, _ := w.dial("other")
	other.(*tls.Conn).CloseWrite()
	if code := <-w.closed; code != wire.CloseNone {
		t.Errorf("the handler was told %d", code)
	}
}

func TestTLSResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := newWorld(t, Config{TLS: testTLS(t)})
		w.trust.MaxVersion, w.trust.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
		for i := range 3 {
			conn, _ := w.dial("me") // reads the answer, and the ticket before it
			if got := w.state(conn).DidResume; got != (i > 0) {
				t.Errorf("version %x, connection %d resumed: %v", version, i, got)
			}
			conn.Close()
		}
		if s := w.engine.Stats().TLS; s.Handshakes != 3 || s.Resumed != 2 || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// TestTLSRefusals: what is not a handshake ends at once, with an alert where TLS
// is spoken.
func TestTLSRefusals(t *testing.T) {
	w := newWorld(t, Config{TLS: &tls.Config{Certificates: testTLS(t).Certificates, MinVersion: tls.VersionTLS13}})
	addr := w.engine.Addr().String()
	for _, garbage := range []string{get("/ws"), "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x04abcd",
		strings.Repeat("\x00", 300_000)} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(garbage))
		conn.SetReadDeadline(time.Now().Add(testwait.Patience))
		if _, err := io.ReadAll(conn); errors.Is(err, net.ErrClosed) || err != nil &&
			strings.Contains(err.Error(), "timeout") {
			t.Errorf("%.20q: %v", garbage, err)
		}
		conn.Close()
	}
	_, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2 where 1.3 is the least: %v", err)
	}
	_, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err == nil || !strings.Contains(err.Error(), "application protocol") {
		t.Errorf("h2 alone: %v", err)
	}
	w.await(func() bool { s := w.engine.Stats(); return s.TLS.Failed >= 5 && s.Connections == 0 })
	if s := w.engine.Stats().TLS; s.Running != 0 || s.Handshakes != 0 {
		t.Errorf("%+v", s)
	}
}

// hello is the first flight of a client.
func hello(t testing.TB, trust *tls.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	tls.Client(flight{w: &b}, trust).Handshake()
	if b.Len() == 0 {
		t.Fatal("no first flight")
	}
	return b.Bytes()
}

// flight is a socket that takes one flight.
type flight struct {
	net.Conn
	w io.Writer
}

func (f flight) Write(p []byte) (int, error)   { return f.w.Write(p) }
func (f flight) Read([]byte) (int, error)      { return 0, io.EOF }
func (flight) Close() error                    { return nil }
func (flight) SetDeadline(time.Time) error     { return nil }
func (flight) SetReadDeadline(time.Time) error { return nil }

// TestTLSStall: clients that begin a handshake and do not go on are cut by the deadline,
// and nothing is left of them. A client that says nothing, or half a word, takes no worker.
func TestTLSStall(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), TLSHandshakes: 2, HandshakeTimeout: 500 * time.Millisecond})
	first := hello(t, w.trust)
	stall := func(b []byte) net.Conn {
		conn, err := net.Dial("tcp", w.engine.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.Write(b)
		return conn
	}
	for range 4 {
		stall(nil)
		stall(first[:len(first)/2])
	}
	conn, _ := w.dial("quick")
	conn.Close()
	list := []net.Conn{stall(first), stall(first)}
	w.await(func() bool { return w.engine.Stats().TLS.Parked == 2 })
	for range 3 {
		list = append(list, stall(first))
	}
	w.await(func() bool { return w.engine.Stats().TLS.Parked == 5 })
	list[2].Close() // gone before its deadline
	for _, conn := range list[3:] {
		conn.SetReadDeadline(time.Now().Add(testwait.Patience))
		if _, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("not cut: %v", err)
		}
	}
	conn, _ = w.dial("after")
	conn.Close()
	w.await(func() bool {
		s := w.engine.Stats()
		return s.TLS.Running == 0 && s.TLS.Waiting == 0 && s.TLS.Parked == 0 && s.Connections == 0 &&
			s.HandshakeTimeouts >= 12
	})
}
