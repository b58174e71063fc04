package loop

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"tapecast/loop/upgrade"
)

// forwarding is a world behind a proxy at 127.0.0.9 that adds a field.
func forwarding(t *testing.T, cfg Config) *world {
	cfg.Forwarders = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32"), netip.MustParsePrefix("10.0.0.0/8")}
	if cfg.ForwardedField == "" {
		cfg.ForwardedField = "X-Forwarded-For"
	}
	return newWorld(t, cfg)
}

// TestForwarded: behind a proxy that adds a field, each client is counted for and known by its own
// address. The proxy itself has no limit, and the field of anybody else counts for nothing.
func TestForwarded(t *testing.T) {
	var h hits
	w := forwarding(t, Config{PerAddress: 1, HalfOpenPerAddress: 2, Limited: h.tell})
	f := func(from net.IP, want string, lines ...string) {
		t.Helper()
		if got := asks(w.silent(from), lines...); !strings.Contains(got, want) {
			t.Errorf("%s with %q was answered %q, want %s", from, lines, got, want)
		}
	}
	for i, from := range []string{"192.0.2.1", "192.0.2.2", "2001:db8:0:1::1"} {
		f(local(9), "101", "X-Forwarded-For: 203.0.113.1, "+from, "X-Forwarded-For: 10.0.0.7")
		w.await(func() bool { return w.engine.Stats().Gate.Open == int64(i+1) })
		if at := netip.AddrPortFrom(netip.MustParseAddr(from), 0); !w.remotes()[at] {
			t.Errorf("%s is not among %v", from, w.remotes())
		}
	}
	f(local(9), "503", "X-Forwarded-For: 192.0.2.1")
	f(local(9), "503", "X-Forwarded-For: 2001:db8:0:1::2") // of the same /64
	if got := h.of(LimitAddress); got != 2 || !strings.HasPrefix(h.last(LimitAddress), "2001:db8:0:1:") {
		t.Errorf("the limit was told %d times, of %s", got, h.last(LimitAddress))
	}
	for range 3 { // of the proxies themselves, more than an address may have
		f(local(9), "101")
		f(local(9), "101", "X-Forwarded-For: 10.0.0.8")
	}
	for range 4 {
		w.silent(local(9))
	}
	f(local(9), "400", "X-Forwarded-For: nonsense")
	f(local(9), "101", "Forwarded: for=192.0.2.1", "X-Forwarded-For: nonsense, 192.0.2.9")
	if s := w.engine.Stats(); s.Unnamed != 1 || s.HeadersRefused != 0 {
		t.Errorf("%d fields could not be read, %d headers", s.Unnamed, s.HeadersRefused)
	}
	f(local(2), "101", "X-Forwarded-For: 192.0.2.77")
	w.await(func() bool { return w.remotes()[netip.MustParseAddrPort("127.0.0.2:0")] })
	f(local(2), "503", "X-Forwarded-For: 192.0.2.78") // the second of its own address
}

// TestForwardedBehindBalancer: a balancer's PROXY header names a proxy, whose field names the client.
// Both the connection's address and its count follow, with TLS too.
func TestForwardedBehindBalancer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		cfg := Config{PerAddress: 1, ForwardedField: "Forwarded"}
		cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
		cfg.Forwarders = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		if secure {
			cfg.TLS = testTLS(t)
		}
		w := newWorld(t, cfg)
		f := func(line, want string) {
			t.Helper()
			got := asks(w.through(headerOf(t, 2, "10.0.0.1:5000"), 1<<20), line)
			if !strings.Contains(got, want) {
				t.Errorf("TLS %v: %s was answered %q, want %s", secure, line, got, want)
			}
		}
		f("Forwarded: for=192.0.2.1", "101")
		f(`Forwarded: for="[2001:db8::1]:77", for=10.0.0.3`, "101")
		f("Forwarded: for=192.0.2.1", "503")
		f("X-Forwarded-For: 192.0.2.1", "101") // names nobody in the field that counts
		f("X-Forwarded-For: 192.0.2.1", "101")
		w.await(func() bool { return w.remotes()[netip.MustParseAddrPort("[2001:db8::1]:77")] })
	}
}

// TestKnock: a client that Knock refuses takes nobody's place, and the handler never sees it.
func TestKnock(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	w := forwarding(t, Config{MaxConns: 1, Knock: func(from netip.AddrPort) (v upgrade.Verdict) {
		mu.Lock()
		defer mu.Unlock()
		if asked = append(asked, from.Addr().String()); len(asked) == 2 {
			v = upgrade.Verdict{Status: http.StatusTooManyRequests, RetryAfter: 7}
		}
		return v
	}})
	if got := asks(w.silent(local(2))); !strings.Contains(got, "101") {
		t.Errorf("the first was answered %q", got)
	}
	if got := asks(w.silent(local(9)), "X-Forwarded-For: 192.0.2.1"); !strings.Contains(got, "429") {
		t.Errorf("the second was answered %q", got)
	}
	if got := asks(w.silent(local(9)), "X-Forwarded-For: 192.0.2.2"); !strings.Contains(got, "503") {
		t.Errorf("the third was answered %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(asked); got != "[127.0.0.2 192.0.2.1 192.0.2.2]" {
		t.Errorf("asked of %s", got)
	}
}
