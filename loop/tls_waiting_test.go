package loop

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// helloOnly opens a socket that sends a ClientHello; what it returns goes on with the
// handshake when it is told to.
func (w *world) helloOnly(from net.IP) (conn net.Conn, goOn func() error) {
	w.t.Helper()
	conn = w.silent(from)
	said, going := make(chan struct{}), make(chan struct{})
	end := make(chan error, 1)
	c := tls.Client(&halting{Conn: conn, said: said, going: going}, w.trust)
	go func() { end <- c.Handshake() }()
	<-said
	return conn, func() error { close(going); return <-end }
}

// halting is a connection that reads nothing until it is told to go on.
type halting struct {
	net.Conn
	said, going chan struct{}
}

func (h *halting) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	select {
	case <-h.said:
	default:
		close(h.said)
	}
	return n, err
}

func (h *halting) Read(p []byte) (int, error) {
	<-h.going
	return h.Conn.Read(p)
}

// TestTLSWaitingTakesNoPlace: clients that say hello and nothing more keep nobody from
// shaking hands, and can go on themselves.
func TestTLSWaitingTakesNoPlace(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), TLSHandshakes: 2, HandshakeTimeout: time.Hour})
	var goOn []func() error
	for range 20 {
		_, f := w.helloOnly(local(2))
		goOn = append(goOn, f)
	}
	w.await(func() bool { return w.engine.Stats().TLS.Parked == 20 })
	w.talk("all")
	w.await(func() bool { return w.engine.Stats().TLS.Running == 0 }) // it hands over
	if s := w.engine.Stats().TLS; s.Running != 0 || s.Parked != 20 || s.Handshakes != 1 {
		t.Errorf("%+v", s)
	}
	if _, busy := w.engine.greeters.beat.Turn(); busy {
		t.Error("handshakes that wait for their clients stand")
	}
	for _, f := range goOn {
		if err := f(); err != nil {
			t.Errorf("one that went on: %v", err)
		}
	}
	w.await(func() bool { s := w.engine.Stats().TLS; return s.Handshakes == 21 && s.Parked == 0 && s.Running == 0 })
}

// TestTLSWaitingGiveWay: where too many wait for their clients, the oldest of the address
// that has the most is dropped.
func TestTLSWaitingGiveWay(t *testing.T) {
	var h hits
	w := newWorld(t, Config{TLS: testTLS(t), TLSWaiting: 5, HandshakeTimeout: time.Hour, Limited: h.tell})
	_, early := w.helloOnly(local(3))
	w.await(func() bool { return w.engine.Stats().TLS.Parked == 1 })
	var flood []net.Conn
	for i := range 8 {
		conn, _ := w.helloOnly(local(2))
		flood = append(flood, conn)
		w.await(func() bool {
			s := w.engine.Stats()
			return s.TLS.Parked == int64(min(2+i, 5)) && s.TLS.Running == 0
		})
	}
	for i := range 4 {
		for err := error(nil); err == nil; { // what it was answered first
			_, err = flood[i].Read(make([]byte, 1<<10))
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatalf("socket %d of 8 was not dropped", i)
			}
		}
	}
	w.await(func() bool { return h.of(LimitTLSWaiting) == 4 })
	if from := h.last(LimitTLSWaiting); from != "127.0.0.2" {
		t.Errorf("told of %s", from)
	}
	if err := early(); err != nil {
		t.Errorf("the one of another address: %v", err)
	}
	w.await(func() bool { s := w.engine.Stats(); return s.Connections == 5 && w.engine.gate.stats().HalfOpen == 5 })
}

// TestTLSGoneWhileParked: clients that leave in the middle of a handshake leave nothing.
func TestTLSGoneWhileParked(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), TLSHandshakes: 1, HandshakeTimeout: time.Hour})
	for range 10 {
		conn, _ := w.helloOnly(local(2))
		w.await(func() bool { return w.engine.Stats().TLS.Parked == 1 })
		conn.Close()
		w.await(func() bool {
			s := w.engine.Stats()
			return s.Connections == 0 && s.TLS.Parked == 0 && s.TLS.Running == 0
		})
	}
	w.talk("all")
}

// TestLinesInTurn: addresses are served in turn, and each one's connections in order.
func TestLinesInTurn(t *testing.T) {
	var q lines
	now := time.Now()
	conn := func(address byte, since time.Duration) *Conn {
		c := &Conn{addr: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: address}}
		q.add(c, now.Add(since))
		return c
	}
	a1, a2, a3 := conn(1, 0), conn(1, 1), conn(1, 2)
	b1, b2 := conn(2, 3), conn(2, 4)
	f := func(before time.Duration, want *Conn) {
		t.Helper()
		at := time.Time{}
		if before >= 0 {
			at = now.Add(before)
		}
		if got := q.take(at); got != want {
			t.Errorf("took another: %p, want %p of %p %p %p, %p %p", got, want, a1, a2, a3, b1, b2)
		}
	}
	f(-1, a1)
	f(1, a2) // of b none has waited for long enough
	f(1, nil)
	if since, ok := q.oldest(); !ok || !since.Equal(now.Add(2)) {
		t.Errorf("the oldest came at %v, %v", since.Sub(now), ok)
	}
	f(-1, b1)
	f(-1, a3)
	f(-1, b2)
	f(-1, nil)
	if q.n != 0 || q.of != nil || q.ring != nil {
		t.Errorf("%+v is left", q)
	}
}

// TestAnsweredFirst: a handshake that goes on is served before one that begins.
func TestAnsweredFirst(t *testing.T) {
	g := &greeters{most: 1, half: 1, waitMost: 10, running: 1}
	fresh := &Conn{secure: &secure{hello: &greeting{over: true}}}
	under := new(Conn)
	g.parked.add(under, under.network())
	g.add(fresh)
	got := make(chan bool)
	go func() { g.unpark(under, false); got <- g.queue.n == 1; g.park(under) }()
	await(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.back) == 1
	})
	g.mu.Lock()
	g.running--
	g.start()
	g.mu.Unlock()
	if !<-got {
		t.Error("one that begins was served first")
	}
}

// TestTLSEarlyBytes: a client that goes on sending while it waits for a worker is cut, and
// what it has sent is kept no longer.
func TestTLSEarlyBytes(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), HandshakeTimeout: time.Hour})
	g := &w.engine.greeters
	g.mu.Lock()
	most := g.most
	g.most = 0 // no worker is free
	g.mu.Unlock()
	conn := w.silent(local(2))
	conn.Write(hello(t, w.trust))
	w.await(func() bool { return w.engine.Stats().TLS.Waiting == 1 })
	go conn.Write(make([]byte, 256<<10))
	isCut(t, conn, "a client that says too much")
	w.await(func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		s := g.queue.ring[0].in[0].conn.secure
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.hello.over && s.hello.in == nil
	})
	g.mu.Lock()
	g.most = most
	g.start()
	g.mu.Unlock()
	w.await(func() bool { s := w.engine.Stats(); return s.Connections == 0 && s.TLS.Waiting == 0 })
}
