package session

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// TestConnectionLimits: a client that may not wait to authenticate is refused, and
// nothing is counted for it; one with a token waits for nothing.
func TestConnectionLimits(t *testing.T) {
	h := newTestHandler(t)
	f := func(full bool, token string, wantStatus int) {
		t.Helper()
		before := h.limit.Refused[limits.Pending].Load()
		c := newFakeConn(h)
		c.full = full
		v := h.open(c, &upgrade.Request{Token: token})
		if v.Status != wantStatus || wantStatus == 503 && (v.RetryAfter <= 0 || v.Body == "" || c.session != nil) {
			t.Errorf("%+v, want %d", v, wantStatus)
		}
		if n := h.limit.Refused[limits.Pending].Load() - before; (n == 1) != (wantStatus == 503) {
			t.Errorf("counted %d", n)
		}
		if n := h.limit.Conns.Load(); (n == 1) != (wantStatus == 0) {
			t.Errorf("%d connections", n)
		}
		h.closed(c, 1006) // is called for refused ones too
		if c, p := h.limit.Conns.Load(), h.limit.Pending.Load(); c != 0 || p != 0 {
			t.Errorf("left: %d connections, %d pending", c, p)
		}
	}
	f(false, "", 0)
	f(true, "", 503)
	f(true, tokenOf(t, "42", time.Hour), 0)
	h.accepting.Store(false)
	if v := h.open(newFakeConn(h), &upgrade.Request{}); v.Status != 503 {
		t.Errorf("while stopping: %+v", v)
	}
}

// TestLimitsOfSockets: what the engine refuses is counted by its name.
func TestLimitsOfSockets(t *testing.T) {
	h := newTestHandler(t)
	for l, k := range limits.OfSocket {
		h.Limited(loop.Limit(l), netip.MustParseAddrPort("192.0.2.1:5000"))
		if n := h.limit.Refused[k].Load(); n != 1 {
			t.Errorf("%s counted %d", k, n)
		}
	}
}

func TestUserLimit(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.ConnectionsPerUser = 2 })
	first := login(t, h, "42")
	login(t, h, "42")
	login(t, h, "43")
	token := tokenOf(t, "42", time.Hour)
	c := dial(t, h, token, "")
	if got := c.take(); c.closed() != wire.CloseTooMany || !strings.Contains(got, `"id":null,"error":{"code":-32009,`) {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	h.closed(c, wire.CloseTooMany)
	c = dial(t, h, "", "")
	c.take()
	if got := c.says(`{"method":"authenticate","params":{"token":"` + token +
		`"},"id":9}`); c.closed() != wire.CloseTooMany || !strings.Contains(got, `"id":9,"error":{"code":-32009,`) {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	h.closed(c, wire.CloseTooMany)
	h.closed(first, 1000)
	if n, _ := h.limit.Users.Of("42"); n != 1 {
		t.Errorf("the user has %d connections", n)
	}
	login(t, h, "42")
}

func TestMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.MessagesPerSecond, cfg.Limits.Burst = 10, 5 })
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
		testwait.Pass(200 * time.Millisecond) // earns two, and the refused one cost one
		f(1, "timestamp")
		f(1, limited)
		testwait.Pass(time.Minute)
		for range 20 { // as fast as allowed, for long
			f(1, "timestamp")
			testwait.Pass(100 * time.Millisecond)
		}
		f(5, "timestamp")
		if got := c.says(`{"method":"ping"}`); got != "" {
			t.Errorf("a notification over the limit was answered: %s", got)
		}
		f(4, limited)
		if got := c.says(`not json`); !strings.Contains(got, `"id":null,"error":{"code":-32004,`) ||
			c.closed() != wire.CloseRate {
			t.Errorf("close %d, got %s", c.closed(), got)
		}
		if n := h.limit.Refused[limits.Messages].Load(); n != 8 {
			t.Errorf("%d refused messages are counted", n)
		}
		c.SetTimer(time.Time{})
	})
}

// TestRequestFlood: a client far over its pace is closed with 4108, and of what it sends
// then nothing is parsed or answered, with a token or without.
func TestRequestFlood(t *testing.T) {
	for _, user := range []string{"42", ""} {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.MessagesPerSecond, cfg.Limits.Burst = 10, 5 })
		c := dial(t, h, "", "")
		if user != "" {
			c = login(t, h, user)
		}
		c.take()
		faults := h.faults.Load()
		said, closed := 0, 0
		for i := range 1000 {
			if c.says(`{"method":"subscribe","params":["x"],"id":1}`) != "" {
				said++
			}
			if c.closed() == wire.CloseRate && closed == 0 {
				closed = i + 1
			}
		}
		if closed < 10 || closed > 13 || said != closed {
			t.Errorf("user %q: closed at request %d, after %d answers", user, closed, said)
		}
		if n := h.faults.Load() - faults; n > 13 {
			t.Errorf("user %q: %d errors were made", user, n)
		}
		if n := h.limit.Refused[limits.Messages].Load(); n == 0 || n > 7 {
			t.Errorf("user %q: the limit was counted %d times", user, n)
		}
		h.closed(c, wire.CloseRate)
	}
}
