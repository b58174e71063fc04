package loop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"tapecast/rooms/testwait"
)

// headerOf is a header of either version for a client.
func headerOf(t testing.TB, version byte, from string, more ...proxyproto.TLV) []byte {
	t.Helper()
	src := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	dst := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 99), Port: 443}
	if src.IP.To4() == nil {
		dst.IP = net.ParseIP("2001:db8::99")
	}
	h := proxyproto.HeaderProxyFromAddrs(version, src, dst)
	if err := h.SetTLVs(more); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// localV2 is what a balancer sends for a connection of its own.
var localV2 = append(bytes.Clone(proxyproto.SIGV2), 0x20, 0, 0, 0)

// TestProxyHeader: headers whole and at every cut, with what comes behind them.
func TestProxyHeader(t *testing.T) {
	f := func(header []byte, want string) {
		t.Helper()
		for at := range header {
			if n, _, err := proxyHeader(header[:at]); n != 0 || err != nil {
				t.Fatalf("of %q %d bytes: %d, %v", header, at, n, err)
			}
		}
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n", strings.Repeat("\n", 5000)} {
			n, from, err := proxyHeader(append(bytes.Clone(header), behind...))
			got := ""
			if from.IsValid() {
				got = from.String()
			}
			if n != len(header) || got != want || err != nil {
				t.Errorf("%q: %d of %d bytes, %q, %v, want %q", header, n, len(header), got, err, want)
			}
		}
	}
	f(headerOf(t, 1, "192.0.2.1:5000"), "192.0.2.1:5000")
	f(headerOf(t, 2, "192.0.2.1:5000"), "192.0.2.1:5000")
	f(headerOf(t, 1, "[2001:db8::1]:5000"), "[2001:db8::1]:5000")
	f(headerOf(t, 2, "[2001:db8::1]:5000"), "[2001:db8::1]:5000")
	f(headerOf(t, 2, "192.0.2.1:5000", proxyproto.TLV{Type: 0xE0, Value: make([]byte, 4000)}), "192.0.2.1:5000")
	f([]byte("PROXY UNKNOWN\r\n"), "")
	f([]byte("PROXY UNKNOWN ffff:f::1 ffff:f::2 65535 65535\r\n"), "")
	f(localV2, "")
	f(append(bytes.Clone(proxyproto.SIGV2), 0x20, 0x11, 0, 12, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2), "") // LOCAL
	f(append(append(bytes.Clone(proxyproto.SIGV2), 0x21, 0x31, 0, 216), make([]byte, 216)...), "")      // a Unix socket

	bad := func(b string) {
		t.Helper()
		if n, from, err := proxyHeader([]byte(b)); n != 0 || from.IsValid() || err == nil {
			t.Errorf("%q: %d, %v, %v", b, n, from, err)
		}
	}
	bad("G")
	bad("GET /ws HTTP/1.1\r\n")
	bad("\x16\x03\x01")
	bad("PROXI")
	bad("PROXY \r\n")
	bad("PROXY TCP4 192.0.2.1\r\n")
	bad("PROXY TCP4 192.0.2.1 192.0.2.2 5000 70000\r\n")
	bad("PROXY TCP4 2001:db8::1 192.0.2.2 5000 443\r\n")
	bad("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\n")
	bad("PROXY " + strings.Repeat("x", maxHeaderV1-6))
	bad(string(proxyproto.SIGV2) + "\x11\x11\x00\x0c............")      // version 1
	bad(string(proxyproto.SIGV2) + "\x21\x11\x00\x0b...........")       // too short for its addresses
	bad(string(proxyproto.SIGV2) + "\x21\x11\x10\x01")                  // more than 4 KiB
	bad(string(proxyproto.SIGV2) + "\x21\x00\x00\x00")                  // names nobody, and is not LOCAL
	bad(string(proxyproto.SIGV2)[:11] + "\x0b\x21\x11\x00\x0c1111....") // not the signature
}

// FuzzProxyHeader: what comes in two pieces is read as what comes in one, and a header
// that is never complete is given up in bounds.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\nGET"), 7)
	f.Add([]byte("PROXY UNKNOWN\r\n"), 3)
	f.Add(headerOf(f, 2, "192.0.2.1:5000"), 20)
	f.Add(localV2, 14)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		n, from, err := proxyHeader(b)
		if n < 0 || n > len(b) || n > maxHeaderV2 || err != nil && n != 0 || n == 0 && from.IsValid() {
			t.Fatalf("%d of %d bytes, %v, %v", n, len(b), from, err)
		}
		if n == 0 && err == nil && len(b) >= maxHeaderV2 {
			t.Fatalf("more is asked for behind %d bytes", len(b))
		}
		if cut < 0 || cut > len(b) {
			return
		}
		if k, _, cerr := proxyHeader(b[:cut]); cerr != nil && err == nil || k != 0 && k != n {
			t.Fatalf("cut at %d: %d, %v; whole: %d, %v", cut, k, cerr, n, err)
		}
	})
}

// balanced is a world behind a balancer at 127.0.0.9.
func balanced(t *testing.T, cfg Config) *world {
	cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
	return newWorld(t, cfg)
}

// through connects as the balancer does, and sends a header in pieces of some bytes; the
// last of them has the first bytes of what follows in it.
func (w *world) through(header []byte, piece int) net.Conn {
	w.t.Helper()
	conn := w.silent(local(9))
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
		testwait.Pause(time.Millisecond) // so that they are read one by one, mostly
	}
	if len(b) > 0 {
		if _, err := h.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	return len(p), nil
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
		if got := asks(w.through(headerOf(t, version, "192.0.2.1:6000"), piece)); got != "HTTP/1.1 503 Service Unavailable" {
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
			for _, c := range l.conns {
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
	// A health check that connects and says nothing, or half a header, is no fault.
	w.silent(local(9)).Close()
	half := w.silent(local(9))
	fmt.Fprint(half, "PROXY TCP4 192")
	isCut(t, half, "half a header") // by the handshake's deadline
	if n := w.engine.Stats().HeadersRefused; n != 1 {
		t.Errorf("%d headers were refused", n)
	}
}
