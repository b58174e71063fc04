package server

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/loop"
)

func TestConnectionLimits(t *testing.T) {
	h := newTestHandler(t, func(cfg *Config) {
		cfg.Limits.Connections, cfg.Limits.ConnectionsPerAddress, cfg.Limits.Pending = 5, 3, 2
	})
	token := testToken(t, "42", time.Hour)
	var conns []*fakeConn
	f := func(addr, token string, wantStatus int, hit limitKind) {
		t.Helper()
		before := h.limit.refused[hit].Load()
		c := newFakeConn(h)
		c.remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 1)
		v := h.open(c, &loop.Request{Token: token})
		if v.Status != wantStatus || wantStatus == 503 && (v.RetryAfter <= 0 || v.Body == "" || c.session != nil) {
			t.Errorf("%s: %+v, want %d", addr, v, wantStatus)
		}
		if n := h.limit.refused[hit].Load() - before; (n == 1) != (wantStatus == 503) {
			t.Errorf("%s: limit %s counted %d", addr, hit, n)
		}
		if wantStatus == 0 {
			conns = append(conns, c)
		} else {
			h.closed(c, 1006) // is called for refused ones too
		}
	}
	f("192.0.2.1", "", 0, limitPending)
	f("192.0.2.1", "", 0, limitPending)
	f("192.0.2.2", "", 503, limitPending)
	f("::ffff:192.0.2.1", token, 0, limitAddress)
	f("192.0.2.1", token, 503, limitAddress)
	f("2001:db8::1", token, 0, limitAddress)
	f("2001:db8::2", token, 0, limitAddress)
	f("192.0.2.9", token, 503, limitConnections)
	for _, c := range conns {
		h.closed(c, 1000)
	}
	if h.limit.conns.Load() != 0 || h.limit.pending.Load() != 0 || len(h.limit.addresses.n) != 0 {
		t.Errorf("left: %d connections, %d pending, addresses %v", h.limit.conns.Load(), h.limit.pending.Load(), h.limit.addresses.n)
	}
	f("192.0.2.9", token, 0, limitConnections)
	h.accepting.Store(false)
	if v := h.open(newFakeConn(h), &loop.Request{}); v.Status != 503 {
		t.Errorf("while stopping: %+v", v)
	}
}

func TestUserLimit(t *testing.T) {
	h := newTestHandler(t, func(cfg *Config) { cfg.Limits.ConnectionsPerUser = 2 })
	first := login(t, h, "42")
	login(t, h, "42")
	login(t, h, "43")
	token := testToken(t, "42", time.Hour)
	c := dial(t, h, token, "")
	if got := c.take(); c.closed() != closeTooMany || !strings.Contains(got, `"id":null,"error":{"code":-32009,`) {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	h.closed(c, closeTooMany)
	c = dial(t, h, "", "")
	c.take()
	if got := c.says(`{"method":"authenticate","params":{"token":"` + token + `"},"id":9}`); c.closed() != closeTooMany || !strings.Contains(got, `"id":9,"error":{"code":-32009,`) {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	h.closed(c, closeTooMany)
	h.closed(first, 1000)
	if n := h.limit.users.n["42"]; n != 1 {
		t.Errorf("the user has %d connections", n)
	}
	login(t, h, "42")
}

func TestMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *Config) { cfg.Limits.MessagesPerSecond, cfg.Limits.Burst = 10, 5 })
		c := login(t, h, "42")
		f := func(n int, want string) {
			t.Helper()
			for range n {
				if got := c.says(`{"method":"ping","id":1}`); !strings.Contains(got, want) {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
		}
		const limited = `"id":1,"error":{"code":-32004,`
		f(5, "timestamp")
		f(1, limited)
		time.Sleep(200 * time.Millisecond) // earns two, and the refused one cost one
		f(1, "timestamp")
		f(1, limited)
		time.Sleep(time.Minute)
		for range 20 { // as fast as allowed, for long
			f(1, "timestamp")
			time.Sleep(100 * time.Millisecond)
		}
		f(5, "timestamp")
		if got := c.says(`{"method":"ping"}`); got != "" {
			t.Errorf("a notification over the limit was answered: %s", got)
		}
		f(4, limited)
		if got := c.says(`not json`); !strings.Contains(got, `"id":null,"error":{"code":-32004,`) || c.closed() != closeRate {
			t.Errorf("close %d, got %s", c.closed(), got)
		}
		if n := h.limit.refused[limitMessages].Load(); n != 8 {
			t.Errorf("%d refused messages are counted", n)
		}
		c.SetTimer(time.Time{})
	})
}

func TestPace(t *testing.T) {
	var b bucket
	if p := newPace(0, 0); b.take(p, 1) != paceOK || b != 0 {
		t.Error("no limit limits")
	}
	p := newPace(1e-9, 0) // as good as never, and a burst of one
	if b.take(p, 1) != paceOK || b.take(p, 1) != paceOver || b.take(p, 1) != paceFar {
		t.Error("the least burst is not one")
	}
	if p := newPace(1e12, 1<<40); p.each < 1 || p.burst < p.each {
		t.Errorf("%+v", p)
	}
}

func TestNetwork(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		if got := network(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	f("192.0.2.1", "192.0.2.1")
	f("::ffff:192.0.2.1", "192.0.2.1")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")
	f("fe80::1%eth0", "fe80::")
}

func TestLimitNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range limitKinds {
		seen[k.String()] = true
	}
	if len(seen) != int(limitKinds) {
		t.Errorf("names %v", seen)
	}
}
