package session

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// revoking returns a handler with a topic of revocations that was read, and what puts a record there
// ("": a tombstone).
func revoking(t testing.TB, change ...func(*config.Config)) (h *Handler, put func(key, value string)) {
	t.Helper()
	h = newTestHandler(t, append(change, func(cfg *config.Config) { cfg.Auth.Revocations = "revoked" })...)
	h.revoked.Begin(false)
	h.revoked.Whole()
	return h, putter(h)
}

func putter(h *Handler) func(key, value string) {
	at := int64(0)
	return func(key, value string) {
		v := []byte(value)
		if value == "" {
			v = nil
		}
		at++
		h.revoked.Record(0, at, at, true, []byte(key), v)
	}
}

// issued returns a token of an hour with a jti, that was issued that long ago.
func issued(t testing.TB, user, jti string, ago time.Duration) string {
	t.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "jti": jti,
		"iat": now.Add(-ago).Unix(), "exp": now.Add(time.Hour).Unix()}).SignedString([]byte(hs256Secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func beforeAgo(ago time.Duration) string {
	return fmt.Sprintf(`{"before":%d}`, time.Now().Add(-ago).UnixMilli())
}

// TestRevokedTokens: a revoked token is refused in the handshake, as a first one and as a renewal.
func TestRevokedTokens(t *testing.T) {
	h, put := revoking(t)
	f := func(user, jti string, ago time.Duration, code int, words string) {
		t.Helper()
		token := issued(t, user, jti, ago)
		in := dial(t, h, token, "")
		got := in.take()
		if in.closed() != code || !strings.Contains(got, words) {
			t.Errorf("handshake of %s %s: close %d, %s", user, jti, in.closed(), got)
		}
		by := dial(t, h, "", "")
		by.take()
		got = by.says(authenticateBy(token))
		if by.closed() != code || !strings.Contains(got, words) {
			t.Errorf("%s %s: close %d, %s", user, jti, by.closed(), got)
		}
	}
	const user, token = `"code":-32002,"message":"authentication failed: this user's access was revoked"`,
		`"code":-32002,"message":"authentication failed: the token was revoked: get a new one"`
	f("42", "a", time.Minute, 0, `"userId":"42"`)
	put("user:42", `{}`)
	f("42", "a", time.Minute, 4003, user)
	f("43", "a", time.Minute, 0, `"userId":"43"`)
	put("user:42", beforeAgo(30*time.Second))
	f("42", "a", time.Minute, 4201, token)
	f("42", "a", 0, 0, `"userId":"42"`)
	put("user:42", "")
	f("42", "a", time.Minute, 0, `"userId":"42"`)
	put("jti:a", `{}`)
	f("42", "a", 0, 4201, token)
	f("42", "b", 0, 0, `"userId":"42"`)
	put("*", beforeAgo(30*time.Second))
	f("42", "b", time.Minute, 4201, token)
	f("42", "b", 0, 0, `"userId":"42"`)

	c := dial(t, h, issued(t, "42", "b", 0), "")
	c.take()
	if got := c.says(authenticateBy(issued(t, "42", "a", 0))); !strings.Contains(got, token) || c.closed() != 0 {
		t.Errorf("renewed by a revoked token: %s, close %d", got, c.closed())
	}
	if got := c.says(authenticateBy(issued(t, "42", "c", 0))); !strings.Contains(got, `"result"`) {
		t.Errorf("not renewed: %s", got)
	}
	put("jti:b", `{}`) // it has another token by now
	if h.closeIf(c, h.revoked, ""); c.closed() != 0 {
		t.Error("closed for a token that it no longer has")
	}
	put("jti:c", `{}`)
	if h.closeIf(c, h.revoked, ""); c.closed() != 4201 || c.reason != "token revoked" {
		t.Errorf("close %d %q", c.closed(), c.reason)
	}
	if s := h.revoked.Stats(); s.Closed != 1 || s.Refused != 9 {
		t.Errorf("%+v", s)
	}
	if n := h.limit.Pending.Load(); n != 0 {
		t.Errorf("%d are pending", n)
	}
}

// TestRevokedWhileUnread: before the topic was read nobody is let in, and told to come again.
func TestRevokedWhileUnread(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Auth.Revocations = "revoked" })
	h.revoked.Begin(false)
	token := tokenOf(t, "42", time.Hour)
	const words = `"code":-32010,"message":"not now: the token cannot be checked, since which tokens are revoked is not`
	in, by := dial(t, h, token, ""), dial(t, h, "", "")
	by.take()
	if got := in.take(); in.closed() != 1013 || !strings.Contains(got, words) {
		t.Errorf("handshake: %d %s", in.closed(), got)
	}
	if got := by.says(authenticateBy(token)); by.closed() != 1013 || !strings.Contains(got, words) {
		t.Errorf("%d %s", by.closed(), got)
	}
	h.revoked.Whole()
	login(t, h, "42")
	if h.limit.Pending.Load() != 0 || h.limit.Users.Len() != 1 {
		t.Errorf("%d pending, %d users", h.limit.Pending.Load(), h.limit.Users.Len())
	}
}

// TestRevokedWhileAsked: a revocation comes while the token's key is fetched.
func TestRevokedWhileAsked(t *testing.T) {
	s := newKeyServer(t)
	h := fetching(t, s, func(cfg *config.Config) { cfg.Auth.Revocations = "revoked" })
	h.revoked.Begin(false)
	h.revoked.Whole()
	put := putter(h)
	s.gate.Lock()
	s.set("k2", http.StatusOK)
	token := s.token("k2", "42")
	by, in := dial(t, h, "", ""), dial(t, h, token, "")
	by.take()
	by.says(authenticateBy(token))
	put("user:42", `{}`)
	for _, c := range []*fakeConn{by, in} {
		if h.closeIf(c, h.revoked, ""); c.closed() != 0 {
			t.Error("closed before anybody knows whose it is")
		}
	}
	s.gate.Unlock()
	for _, c := range []*fakeConn{by, in} {
		c.hears(t, "this user's access was revoked")
		testwait.Until(t, testwait.Patience, "closed", func() bool { return c.closed() == 4003 })
	}
	if h.limit.Pending.Load() != 0 {
		t.Errorf("%d are pending", h.limit.Pending.Load())
	}
}

// TestRevokedWhileAuthenticating: whenever a revocation comes, and a round of the connections after
// it, a client is refused or closed, and never left open.
func TestRevokedWhileAuthenticating(t *testing.T) {
	h, put := revoking(t, func(cfg *config.Config) { cfg.Limits.BadTokensPerSecond = 0 })
	for i := range 300 {
		user := fmt.Sprint("u", i)
		token, err := auth.MintToken(plainConfig(), user, time.Hour, false)
		if err != nil {
			t.Fatal(err)
		}
		c := newFakeConn(h)
		c.id = uint64(i) // each has a budget of its own
		c.SetSession(&session{phase: phPending})
		h.limit.Pending.Add(1)
		h.limit.Conns.Add(1)
		var both sync.WaitGroup
		both.Go(func() { c.says(authenticateBy(token)) })
		both.Go(func() {
			put("user:"+user, `{}`)
			h.closeIf(c, h.revoked, "")
		})
		both.Wait()
		if c.closed() != 4003 {
			t.Fatalf("client %d is open after its user was revoked: %d", i, c.closed())
		}
		h.closed(c, 4003)
	}
	if h.limit.Pending.Load() != 0 || h.limit.Conns.Load() != 0 || h.limit.Users.Len() != 0 {
		t.Errorf("%d pending, %d connections, %d users", h.limit.Pending.Load(), h.limit.Conns.Load(),
			h.limit.Users.Len())
	}
}

// TestRevokedBeforeTheSessionHasTheToken: a token was checked, and a revocation comes before its
// session has it. A round of the connections could not see that yet.
func TestRevokedBeforeTheSessionHasTheToken(t *testing.T) {
	h, put := revoking(t)
	for i := range 20 {
		user := fmt.Sprint("u", i)
		c, s := newFakeConn(h), &session{phase: phAsking}
		c.SetSession(s)
		h.limit.Pending.Add(1)
		s.mu.Lock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			id := auth.Identity{User: user, Expires: 1 << 33}
			h.judgedInHandshake(c, s, phAsking, "token", false, id, nil, h.begun,
				func(f fault, code int, reason string) { h.hangUp(c, s, idNull, f, code, reason) })
		}()
		testwait.Until(t, testwait.Patience, "it is about to be let in", func() bool {
			conns, _ := h.limit.Users.Of(user)
			return conns == 1
		})
		put("user:"+user, `{}`)
		s.mu.Unlock()
		if <-done; c.closed() != 4003 {
			t.Fatalf("let in, close %d: %s", c.closed(), c.take())
		}
	}
}

// TestNoRevocations: without a topic nothing is revoked, and tokens of any kind are let in.
func TestNoRevocations(t *testing.T) {
	h := newTestHandler(t)
	login(t, h, "42")
	c := dial(t, h, issued(t, "42", "a", 0), "")
	if h.closeIf(c, h.revoked, ""); c.closed() != 0 {
		t.Errorf("closed with %d", c.closed())
	}
	only, err := h.revoked.Only("jti:a", "{}")
	if err != nil {
		t.Fatal(err)
	}
	if h.closeIf(c, only, "by hand"); c.closed() != 4201 || c.reason != "by hand" {
		t.Errorf("close %d %q", c.closed(), c.reason)
	}
}
