package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// TestAuthenticateFailures: the first authentication that fails ends the connection, in the
// handshake and by the method alike; a renewal that fails leaves the session as it is.
func TestAuthenticateFailures(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Auth.Leeway = 0 })
	good, old := tokenOf(t, "42", time.Hour), tokenOf(t, "42", time.Nanosecond)
	early, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "42", "exp": time.Now().Add(2 * time.Hour).Unix(),
		"nbf": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(hs256Secret))
	if err != nil {
		t.Fatal(err)
	}
	with := func(token, id string) string {
		return `{"method":"authenticate","params":{"token":"` + token + `"}` + id + `}`
	}
	f := func(token, why string, code int, reason string) {
		t.Helper()
		for _, id := range []string{`,"id":1`, ``} {
			c := dial(t, h, "", "")
			c.take()
			want := `"id":null,"error":{"code":-32002,`
			if id != "" {
				want = `"id":1,"error":{"code":-32002,`
			}
			got := c.says(with(token, id))
			if !strings.Contains(got, want) || !strings.Contains(got, why) || c.closed() != code || c.reason != reason {
				t.Errorf("close %d %q, got %s", c.closed(), c.reason, got)
			}
			if n := h.limit.Pending.Load(); n != 0 {
				t.Errorf("%d pending", n)
			}
		}
		c := dial(t, h, token, "")
		if got := c.take(); !strings.Contains(got, why) || c.closed() != code || c.reason != reason {
			t.Errorf("in the handshake: close %d %q, got %s", c.closed(), c.reason, got)
		}
		for _, query := range []string{"", "join=manual"} {
			c = dial(t, h, good, query)
			c.take()
			for range 5 {
				if got := c.says(with(token, `,"id":2`)); !strings.Contains(got, why) ||
					!strings.Contains(got, `"id":2,"error":{"code":-32002,`) || c.closed() != 0 {
					t.Errorf("a renewal: close %d, got %s", c.closed(), got)
				}
			}
			if s := sessionOf(c); s.user != "42" || s.end(0).Before(time.Now()) {
				t.Errorf("the session is %q's until %v", s.user, s.end(0))
			}
			if got := c.says(with(good, `,"id":3`)); !strings.Contains(got, `"id":3,"result":{"clientId"`) {
				t.Errorf("a good renewal after it: %s", got)
			}
		}
	}
	f("bad", "the token is not a compact JWT", wire.CloseAuth, "authentication failed")
	f(old, auth.ErrExpired.Error(), wire.CloseExpired, "token expired")
	f(early, auth.ErrEarly.Error(), wire.CloseExpired, "token not valid yet")

	c := login(t, h, "42")
	if got := c.says(with(tokenOf(t, "43", time.Hour), `,"id":1`)); !strings.Contains(got,
		"of another user") || c.closed() != 0 {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	if s := sessionOf(c); s.user != "42" {
		t.Errorf("the connection is %q's now", s.user)
	}
	// A value that is not a token at all is a mistake in the request.
	c = dial(t, h, "", "")
	c.take()
	if got := c.says(`{"method":"authenticate","params":{"token":5},"id":1}`); !strings.Contains(got,
		`"code":-32602`) || c.closed() != 0 {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
}

func TestAuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t)
		c := dial(t, h, "", "")
		c.take()
		testwait.Pass(h.timeout - time.Millisecond)
		if c.closed() != 0 {
			t.Fatal("closed early")
		}
		testwait.Pass(time.Millisecond)
		if got := c.take(); c.closed() != wire.CloseAuthLate ||
			!strings.Contains(got, `"id":null,"error":{"code":-32003,`) {
			t.Errorf("close %d, got %s", c.closed(), got)
		}
		h.closed(c, wire.CloseAuthLate)
		if p, n := h.limit.Pending.Load(), h.limit.Conns.Load(); p != 0 || n != 0 {
			t.Errorf("%d pending, %d connections", p, n)
		}

		c = dial(t, h, "", "")
		c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":1}`)
		testwait.Pass(2 * h.timeout)
		if c.closed() != 0 {
			t.Errorf("closed with %d although authenticated", c.closed())
		}
		c.SetTimer(time.Time{})
	})
}

// TestExpiry: a session ends leeway after its token's exp, and all that is said is relative to
// that end.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(ttl, leeway, notice time.Duration) {
			t.Helper()
			h := newTestHandler(t, func(cfg *config.Config) { cfg.Auth.Leeway = leeway })
			c := dial(t, h, tokenOf(t, "42", ttl), "")
			c.take()
			exp := time.Now().Add(ttl).Unix()
			after := func(d time.Duration) string {
				testwait.Pass(d)
				return c.take()
			}
			// exp is in whole seconds, and so is this clock's start.
			if got := after(ttl + leeway - notice - time.Millisecond); got != "" {
				t.Errorf("a token of %s: told early: %s", ttl, got)
			}
			want := fmt.Sprintf(`{"jsonrpc":"2.0","method":"auth_expiring","params":{"expires":%d,"timeLeft":%d}}`,
				exp, notice.Milliseconds())
			if got := after(time.Millisecond); got != want {
				t.Errorf("a token of %s: got %s, want %s", ttl, got, want)
			}
			if after(notice - time.Millisecond); c.closed() != 0 {
				t.Errorf("a token of %s: closed early with %d", ttl, c.closed())
			}
			if after(time.Millisecond); c.closed() != wire.CloseExpired {
				t.Errorf("a token of %s: close %d at its end", ttl, c.closed())
			}
			if got := c.take(); got != "" {
				t.Errorf("got more: %s", got)
			}
		}
		f(8*time.Second, 0, 2*time.Second)
		f(240*time.Second, 0, 60*time.Second)
		f(time.Hour, 0, 60*time.Second)
		f(50*time.Hour, 0, 60*time.Second) // beyond maxTimer
		f(10*time.Second, 30*time.Second, 10*time.Second)
		f(time.Hour, 30*time.Second, 60*time.Second)
		f(time.Hour, 5*time.Minute, 60*time.Second)
	})
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Auth.Leeway = 5 * time.Second })
		c := dial(t, h, tokenOf(t, "42", 100*time.Second), "")
		c.take()
		testwait.Pass(80 * time.Second)
		if got := c.take(); !strings.Contains(got, "auth_expiring") {
			t.Fatalf("got %s", got)
		}
		if got := c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", 100*time.Second) +
			`"},"id":1}`); !strings.Contains(got, `"userId":"42"`) || strings.Contains(got, "auto_subscribed") {
			t.Fatalf("got %s", got)
		}
		testwait.Pass(104 * time.Second)
		if got := c.take(); c.closed() != 0 || !strings.Contains(got, "auth_expiring") {
			t.Errorf("close %d, got %s", c.closed(), got)
		}
		testwait.Pass(2 * time.Second) // the leeway is over
		if c.closed() != wire.CloseExpired {
			t.Errorf("close %d", c.closed())
		}
	})
}

// A timer that fires while the client authenticates, or after the connection is
// gone, does no harm.
func TestLateTimer(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, "", "")
	c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":1}`)
	h.timer(c)
	if c.closed() != 0 {
		t.Errorf("closed with %d", c.closed())
	}
	h.closed(c, 1000)
	h.timer(c)
	if got := c.says(`{"method":"ping","id":1}`); got != "" || c.closed() != 0 {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	gone := newFakeConn(h)
	h.timer(gone)
	h.message(gone, wire.OpText, []byte(`{}`))
	h.closed(gone, 1006)
	if n := h.limit.Conns.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestClockSet: a session ends by the clock on the wall, however that is set, and what a
// client owes for its messages does not depend on it.
func TestClockSet(t *testing.T) {
	h := newTestHandler(t)
	c := login(t, h, "42")
	end := sessionOf(c).end(h.auth.Leeway())
	wall := time.Now().Add(-time.Hour)
	h.wall = func() time.Time { return wall }
	h.timer(c)
	if got := c.due; c.closed() != 0 || got.Sub(wall) < time.Hour {
		t.Errorf("set back by 1 h: close %d, looked at again in %v", c.closed(), got.Sub(wall))
	}
	wall = end.Add(-time.Second)
	if h.timer(c); !strings.Contains(c.take(), "auth_expiring") || c.closed() != 0 || !c.due.Equal(end) {
		t.Errorf("set to 1 s before the end: close %d, looked at again at %v", c.closed(), c.due)
	}
	wall = wall.Add(time.Hour)
	if h.timer(c); c.closed() != wire.CloseExpired {
		t.Errorf("set forward by 1 h: close %d", c.closed())
	}
	now := time.Now()
	if h.elapsed(now) > int64(time.Hour) {
		t.Errorf("debts are counted from %v ago", time.Duration(h.elapsed(now)))
	}
}

// TestCloseOfToken: a client whose token passes, or is not good yet, is to come again with
// another one; with the others it need not.
func TestCloseOfToken(t *testing.T) {
	for err, want := range map[error]int{auth.ErrExpired: wire.CloseExpired, auth.ErrEarly: wire.CloseExpired,
		errors.New("another"): wire.CloseAuth} {
		if got, _ := closeOfToken(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
