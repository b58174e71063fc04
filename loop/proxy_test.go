package loop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"

	"tapecast/rooms/testwait"
)

// headerOf is a header of either version for a client.
func headerOf(t testing.TB, version byte, from string) []byte {
	t.Helper()
	src := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	dst := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 99), Port: 443}
	if src.IP.To4() == nil {
		dst.IP = net.ParseIP("2001:db8::99")
	}
	h := proxyproto.HeaderProxyFromAddrs(version, src, dst)
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// localV2 is what a balancer sends for a connection of its own.
var localV2 = append(bytes.Clone(proxyproto.SIGV2), 0x20, 0, 0, 0)

// balanced is a world behind a balancer at 127.0.0.9.
func balanced(t *testing.T, cfg Config) *world {
	cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
	return newWorld(t, cfg)
}

// through connects as the balancer does, and sends a header in pieces of some bytes; the
// last of them has the first bytes of what follows in it.
func (w *world) through(header []byte, piece int) net.Conn {
	w.t.Helper()
	accepted := w.engine.Stats().Accepted
	conn := w.silent(local(9))
	w.await(func() bool { return w.engine.Stats().Accepted > accepted })
	raw := &headed{Conn: conn, header: header, piece: piece}
	if w.trust == nil {
		return raw
	}
	return tls.Client(raw, w.trust)
}

// headed is a connection that begins with a header.
type headed struct {
	net.Conn
	header []byte
	piece  int
}

func (h *headed) Write(p []byte) (int, error) {
	b := append(h.header, p...)
	for len(h.header) > 0 {
		n := min(h.piece, len(b))
		if _, err := h.Conn.Write(b[:n]); err != nil {
			return 0, err
		}
		b, h.header = b[n:], h.header[min(n, len(h.header)):]
		isRead(h.Conn)
	}
	if len(b) > 0 {
		if _, err := h.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// isRead waits until the gateway has read what was written to a socket, or has closed it.
func isRead(conn net.Conn) {
	from := conn.LocalAddr().(*net.TCPAddr)
	testwait.Holds(testwait.Patience, func() bool {
		for fd := range 1 << 12 { // the gateway's end is one of this process
			peer, _ := unix.Getpeername(fd)
			if at, ok := peer.(*unix.SockaddrInet4); ok && at.Port == from.Port && net.IP(at.Addr[:]).Equal(from.IP) {
				unread, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
				return unread == 0 || err != nil
			}
		}
		return true
	})
}

// TestProxied: behind a balancer, plain and TLS, each client is counted for and known by
// its own address.
func TestProxied(t *testing.T) {
	f := func(secure bool, version byte, piece int) {
		t.Helper()
		var h hits
		cfg := Config{PerAddress: 1, Limited: h.tell}
		if secure {
			cfg.TLS = testTLS(t)
		}
		w := balanced(t, cfg)
		for i, from := range []string{"192.0.2.1:5000", "192.0.2.2:5000", "[2001:db8::1]:5000"} {
			if got := asks(w.through(headerOf(t, version, from), piece)); got != "HTTP/1.1 101 Switching Protocols" {
				t.Fatalf("TLS %v, version %d, pieces of %d: %s got %q", secure, version, piece, from, got)
			}
			want := netip.MustParseAddrPort(from)
			w.await(func() bool { return w.engine.Stats().Gate.Open == int64(i+1) })
			if got := w.remotes(); !got[want] {
				t.Errorf("%s is not among %v", from, got)
			}
		}
		if got := asks(w.through(headerOf(t, version, "192.0.2.1:6000"),
			piece)); got != "HTTP/1.1 503 Service Unavailable" {
			t.Errorf("a second connection of an address was answered %q", got)
		}
		if got := h.of(LimitAddress); got != 1 || h.last(LimitAddress) != "192.0.2.1" {
			t.Errorf("the limit was told %d times, of %s", got, h.last(LimitAddress))
		}
		for range 2 { // of the balancer itself
			if got := asks(w.through(localV2, piece)); got != "HTTP/1.1 101 Switching Protocols" {
				t.Errorf("the balancer itself was answered %q", got)
			}
		}
		if !w.remotes()[netip.MustParseAddrPort("127.0.0.9:0")] {
			t.Errorf("the balancer's own address is not among %v", w.remotes())
		}
	}
	for _, secure := range []bool{false, true} {
		for version := byte(1); version <= 2; version++ {
			for _, piece := range []int{1, 7, 1 << 20} {
				f(secure, version, piece)
			}
		}
	}
}

// remotes are the addresses that connections are known by; the balancer's without its port.
func (w *world) remotes() map[netip.AddrPort]bool {
	all := make(chan netip.AddrPort, 100)
	for _, l := range w.engine.loops {
		done := make(chan struct{})
		l.post(event{kind: evDo, arg: func(l *Loop) {
			for _, c := range l.life.conns {
				all <- c.Remote()
			}
			close(done)
		}})
		<-done
	}
	close(all)
	out := map[netip.AddrPort]bool{}
	for a := range all {
		if a.Addr().IsLoopback() {
			a = netip.AddrPortFrom(a.Addr(), 0)
		}
		out[a] = true
	}
	return out
}

// TestProxyTrust: a trusted peer that sends no header is cut, a header of anybody else is
// a bad request.
func TestProxyTrust(t *testing.T) {
	w := balanced(t, Config{HandshakeTimeout: time.Second})
	if got := asks(w.silent(local(9))); got != "" {
		t.Errorf("a trusted peer without a header was answered %q", got)
	}
	w.await(func() bool { return w.engine.Stats().HeadersRefused == 1 })
	for version := byte(1); version <= 2; version++ {
		conn := w.silent(local(2))
		conn.Write(headerOf(t, version, "192.0.2.1:5000"))
		if got := asks(conn); got != "HTTP/1.1 400 Bad Request" {
			t.Errorf("a header of version %d from anybody was answered %q", version, got)
		}
	}
	// A health check that connects and says nothing, or half a header, is not a fault.
	w.silent(local(9)).Close()
	half := w.silent(local(9))
	fmt.Fprint(half, "PROXY TCP4 192")
	isCut(t, half, "half a header") // by the handshake's deadline
	if n := w.engine.Stats().HeadersRefused; n != 1 {
		t.Errorf("%d headers were refused", n)
	}
}
