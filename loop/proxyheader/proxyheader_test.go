package proxyheader

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
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
			if n, _, err := Read(header[:at]); n != 0 || err != nil {
				t.Fatalf("of %q %d bytes: %d, %v", header, at, n, err)
			}
		}
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n", strings.Repeat("\n", 5000)} {
			n, from, err := Read(append(bytes.Clone(header), behind...))
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
		if n, from, err := Read([]byte(b)); n != 0 || from.IsValid() || err == nil {
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
	f.Add(headerOf(f, 2, "[2001:db8::1]:5000"), 16)
	f.Add([]byte("PROXY TCP6 2001:db8::1 ::1 65535 1\r\n"), 36)
	f.Add(headerOf(f, 2, "192.0.2.1:5000", proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: []byte("noop")}), 30)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		n, from, err := Read(b)
		if n < 0 || n > len(b) || n > maxHeaderV2 || err != nil && n != 0 || n == 0 && from.IsValid() {
			t.Fatalf("%d of %d bytes, %v, %v", n, len(b), from, err)
		}
		if n == 0 && err == nil && len(b) >= maxHeaderV2 {
			t.Fatalf("more is asked for behind %d bytes", len(b))
		}
		if cut < 0 || cut > len(b) {
			return
		}
		if k, _, cerr := Read(b[:cut]); cerr != nil && err == nil || k != 0 && k != n {
			t.Fatalf("cut at %d: %d, %v; whole: %d, %v", cut, k, cerr, n, err)
		}
	})
}
