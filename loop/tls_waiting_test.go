package loop

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"
)

// helloOnly opens a socket that sends a ClientHello; what it returns goes on with the
// handshake when it is told to.
func (w *world) helloOnly(from net.IP) (conn net.Conn, goOn func() error) {
	w.t.Helper()
	conn = w.silent(from)
	said, going := make(chan struct{}), make(chan struct{})
	end, ended := make(chan error, 1), make(chan struct{})
	goes := sync.OnceFunc(func() { close(going) })
	c := tls.Client(&halting{Conn: conn, said: said, going: going}, w.trust)
	go func() {
		defer close(ended)
		end <- c.Handshake()
	}()
	w.t.Cleanup(func() {
		conn.Close()
		goes()
		<-ended
	})
	<-said
	return conn, func() error { goes(); return <-end }
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

// TestTLSWaitingDoesNotCount: clients that say hello and nothing more keep nobody from
// shaking hands, and can go on themselves.
func TestTLSWaitingDoesNotCount(t *testing.T) {
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
	if _, busy := w.engine.handshakes.Heartbeat().Turn(); busy {
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

// TestTLSEarlyBytes: a client that goes on sending while it waits for a worker is cut.
func TestTLSEarlyBytes(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t), TLSHandshakes: 1, HandshakeTimeout: time.Hour})
	w.engine.handshakes.Stand(time.Hour) // no worker is free
	conn := w.silent(local(2))
	conn.Write(hello(t, w.trust))
	w.await(func() bool { return w.engine.Stats().TLS.Waiting == 1 })
	go conn.Write(make([]byte, 256<<10))
	isCut(t, conn, "a client that says too much")
	w.await(func() bool { return w.engine.Stats().Connections == 0 })
}
