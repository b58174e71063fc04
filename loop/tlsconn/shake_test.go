package tlsconn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// side is a server's side whose client is the test: it gives ciphertext to tls.Received, and
// gets what is sent.
type side struct {
	t      *testing.T
	tls    *Conn
	sent   chan []byte
	failed chan error
}

func (s *side) Send(b []byte) (int, error) { s.sent <- bytes.Clone(b); return len(b), nil }
func (s *side) Network() netip.Addr        { return netip.Addr{} }
func (s *side) Decrypt([]byte)             {}
func (s *side) Failed(err error)           { s.failed <- err }
func (s *side) Evict()                     {}
func (s *side) Gone()                      {}

func newSide(t *testing.T, g *Handshakes) *side {
	s := &side{t: t, sent: make(chan []byte, 100), failed: make(chan error, 1)}
	s.tls = New(s, g)
	return s
}

// gives is Received for what is never plain HTTP.
func (s *side) gives(b []byte) {
	s.t.Helper()
	if step, _ := s.tls.Received(b); step != StepWait && step != StepDecrypt {
		s.t.Errorf("%.20q: step %d", b, step)
	}
}

// stands waits until a worker has read up to the same place within a record.
func (s *side) stands(at records) {
	s.t.Helper()
	await(s.t, func() bool {
		s.tls.mu.Lock()
		defer s.tls.mu.Unlock()
		return s.tls.records.nhead == at.nhead && s.tls.records.left == at.left
	})
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	testwait.Until(t, testwait.Patience, "what the workers do", done)
}

// workers are handshakes with a certificate made for this test.
func workers(t *testing.T, atOnce int) *Handshakes {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return NewHandshakes(Config{
		TLS:    &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		AtOnce: atOnce, Waiting: 10, Timeout: time.Minute,
	})
}

// client is a client's end of a side, as crypto/tls wants it. What follows its first flight
// is given in pieces that begin with a letter, each when the worker has read the one before.
type client struct {
	net.Conn
	side *side
	left []byte
	said bool
	sent records
}

func (c *client) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		c.left = <-c.side.sent
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *client) Write(p []byte) (int, error) {
	if !c.said {
		c.said = true
		c.side.gives(p)
		c.side.parked()
		return len(p), nil
	}
	for at := 0; at < len(p); {
		n := at + 1
		for n < len(p) && (p[n] < 'A' || p[n] > 'Z') {
			n++
		}
		c.side.gives(p[at:n])
		c.sent.pass(p[at:n])
		if at = n; at < len(p) {
			c.side.stands(c.sent)
		}
	}
	return len(p), nil
}

// parked waits until the handshake waits for its client.
func (s *side) parked() {
	s.t.Helper()
	await(s.t, func() bool { return s.tls.hello.workers.Stats().Parked == 1 })
}

// hello is the first flight of a client.
func hello() []byte {
	var b bytes.Buffer
	tls.Client(flight{w: &b}, &tls.Config{InsecureSkipVerify: true}).Handshake()
	return b.Bytes()
}

// flight is a socket that takes one flight.
type flight struct {
	net.Conn
	w io.Writer
}

func (f flight) Write(p []byte) (int, error) { return f.w.Write(p) }
func (f flight) Read([]byte) (int, error)    { return 0, io.EOF }
func (flight) Close() error                  { return nil }

// TestLettersAreNotPlain: within a handshake, what comes next may begin with a letter, be it
// noise or the second half of a record. That is TLS all the same, and no worker is left behind.
func TestLettersAreNotPlain(t *testing.T) {
	g := workers(t, 4)
	idle := func() bool { s := g.Stats(); return s.Parked == 0 && s.Running == 0 && s.Waiting == 0 }
	for _, waits := range []bool{true, false} {
		s := newSide(t, g)
		s.gives(hello())
		if waits {
			s.parked()
		}
		s.gives([]byte("A"))
		s.stands(records{nhead: 1})
		s.gives([]byte("BCDEFGHI"))
		if err := <-s.failed; err == nil {
			t.Error("noise is a handshake")
		}
		await(t, idle)
	}

	s := newSide(t, g)
	if err := tls.Client(&client{side: s}, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return g.Stats().Handshakes == 1 && idle() })
}

// TestPlainIsTold: a client that begins with a method of HTTP is told from others, and all
// that it said comes back.
func TestPlainIsTold(t *testing.T) {
	s := newSide(t, workers(t, 1))
	if step, said := s.tls.Received([]byte("GET /")); step != StepPlain || string(said) != "GET /" {
		t.Errorf("step %d, %q", step, said)
	}
}

// TestEarlyIsLetGo: of a client that goes on sending while it waits for a worker nothing is
// kept once it is cut.
func TestEarlyIsLetGo(t *testing.T) {
	s := newSide(t, workers(t, 0)) // no worker is free
	s.gives(hello())
	if step, _ := s.tls.Received(make([]byte, someEarly)); step != StepBusy {
		t.Errorf("much that is early: step %d", step)
	}
	if step, _ := s.tls.Received(make([]byte, maxEarly)); step != StepTooMuch {
		t.Errorf("too much that is early: step %d", step)
	}
	if !s.tls.Closed() || s.tls.hello.in != nil {
		t.Errorf("%d bytes are kept", len(s.tls.hello.in))
	}
}
