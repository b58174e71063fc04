package session

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// keyServer publishes keys. A test makes it wait, or fail.
type keyServer struct {
	t       testing.TB
	url     string
	private ed25519.PrivateKey
	kid     string
	gate    sync.RWMutex // locked: it does not answer
	mu      sync.Mutex
	status  int
}

func newKeyServer(t testing.TB) *keyServer {
	t.Helper()
	s := &keyServer{t: t, kid: "k1", status: http.StatusOK}
	_, s.private, _ = ed25519.GenerateKey(nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.gate.RLock()
		defer s.gate.RUnlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		w.WriteHeader(s.status)
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}]}`, s.kid,
			base64.RawURLEncoding.EncodeToString(s.private.Public().(ed25519.PublicKey)))
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *keyServer) set(kid string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kid, s.status = kid, status
}

func (s *keyServer) token(kid, user string) string {
	s.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA,
		jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = kid
	text, err := token.SignedString(s.private)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// fetching returns a handler that fetches the server's keys, and has those of this moment.
func fetching(t testing.TB, s *keyServer, change ...func(*config.Config)) *Handler {
	t.Helper()
	h := newTestHandler(t, append(change, func(cfg *config.Config) {
		cfg.Auth.JWKSURL, cfg.Auth.JWKSRefresh = s.url, time.Hour
		cfg.Limits.ConnectionsPerUser = 100
	})...)
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		h.auth.Run(ctx, func() { close(started) })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	<-started
	return h
}

// hears waits until a client was sent a text with these words.
func (c *fakeConn) hears(t testing.TB, words ...string) {
	t.Helper()
	all := ""
	for _, w := range words {
		if !testwait.Holds(testwait.Patience, func() bool { all += c.take(); return strings.Contains(all, w) }) {
			t.Fatalf("no %s in %s", w, all)
		}
	}
}

func authenticateBy(token string) string {
	return `{"method":"authenticate","params":{"token":"` + token + `"},"id":"first"}`
}

// TestAsking: a token with a key that is not known waits until the issuer's keys are fetched, and
// nothing else does.
func TestAsking(t *testing.T) {
	s := newKeyServer(t)
	h := fetching(t, s)
	s.gate.Lock()
	s.set("k2", http.StatusOK)
	token := s.token("k2", "42")
	by, in := dial(t, h, "", ""), dial(t, h, token, "")
	by.take()
	if got := by.says(authenticateBy(token)); got != "" {
		t.Errorf("answered at once: %s", got)
	}
	for _, c := range []*fakeConn{by, in} {
		if ph := sessionOf(c).phase; ph != phAsking || c.due.IsZero() || c.take() != "" {
			t.Errorf("phase %d, timer at %s", ph, c.due)
		}
		if got := c.says(authenticateBy(token)); !strings.Contains(got, `"code":-32600`) {
			t.Errorf("a second token meanwhile: %s", got)
		}
		if got := c.says(`{"method":"subscribe","params":{"rooms":["trades"]},"id":2}`); !strings.Contains(got,
			`"code":-32010`) || !strings.Contains(got, `"retryAfter":1000`) {
			t.Errorf("a request meanwhile: %s", got)
		}
	}
	if n := h.limit.Pending.Load(); n != 2 {
		t.Errorf("%d are pending", n)
	}
	login(t, h, "43") // by a key that is known

	renews := login(t, h, "42")
	if got := renews.says(authenticateBy(token)); got != "" {
		t.Errorf("a renewal is answered at once: %s", got)
	}
	if got := renews.says(authenticateBy(token)); !strings.Contains(got, `"code":-32600`) {
		t.Errorf("a second one meanwhile: %s", got)
	}
	if got := renews.says(`{"method":"ping","id":3}`); !strings.Contains(got, `"id":3`) {
		t.Errorf("a session that renews its token: %s", got)
	}
	other := login(t, h, "41")
	other.says(authenticateBy(token))

	s.gate.Unlock()
	by.hears(t, `"id":"first","result":{"clientId"`, "auto_subscribed")
	in.hears(t, `"method":"authenticated"`, "auto_subscribed")
	renews.hears(t, `"id":"first","result":{"clientId"`)
	other.hears(t, `"id":"first","error":{"code":-32002,`, "another user")
	if n := h.limit.Pending.Load(); n != 0 || h.limit.Users.Len() != 3 {
		t.Errorf("%d are pending, %d users", n, h.limit.Users.Len())
	}
	for _, c := range []*fakeConn{by, in, renews, other} {
		if ph := sessionOf(c).phase; ph != phOpen || c.closed() != 0 || sessionOf(c).waiting != 0 {
			t.Errorf("phase %d, closed with %d, %d waits", ph, c.closed(), sessionOf(c).waiting)
		}
	}
}

// TestAskingWritesThroughNoID: the answer comes with a request of the pool, whose last user may have
// left the id null in it.
func TestAskingWritesThroughNoID(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one pool for both goroutines
	s := newKeyServer(t)
	h := fetching(t, s)
	s.set("k2", http.StatusOK)
	c := dial(t, h, "", "")
	c.take()
	c.says(`{"method":"authenticate","params":{"token":"` + s.token("k2", "42") + `"},"id":1}`)
	noise := dial(t, h, "", "")
	noise.says("x")
	h.closed(noise, 1000)
	c.hears(t, `"id":1,"result":{"clientId"`)
	if string(idNull) != "null" {
		t.Errorf("the id null is %q from now on", idNull)
	}
}

// TestAskingInVain: a key that the issuer does not publish, and an issuer that does not answer.
func TestAskingInVain(t *testing.T) {
	s := newKeyServer(t)
	h := fetching(t, s)
	f := func(kid, text string, code int, reason string) {
		t.Helper()
		by, in, renews := dial(t, h, "", ""), dial(t, h, s.token(kid, "42"), ""), login(t, h, "42")
		by.take()
		renews.hold = true
		for _, c := range []*fakeConn{by, renews} {
			c.h.message(c, 1, []byte(authenticateBy(s.token(kid, "42"))))
		}
		by.hears(t, `"id":"first","error":{`+text)
		in.hears(t, `"id":null,"error":{`+text)
		renews.hears(t, `"id":"first","error":{`+text)
		for _, c := range []*fakeConn{by, in} {
			testwait.Holds(testwait.Patience, func() bool { return c.closed() != 0 })
			if c.closed() != code || c.reason != reason {
				t.Errorf("closed with %d %q, want %d %q", c.closed(), c.reason, code, reason)
			}
		}
		if renews.closed() != 0 {
			t.Errorf("a renewal is closed with %d", renews.closed())
		}
		if n := h.limit.Pending.Load(); n != 0 {
			t.Errorf("%d are pending", n)
		}
	}
	f("k3", `"code":-32002,"message":"authentication failed: the token's kid names no key`, 4201, "token's key unknown")
	f("k3", `"code":-32002,"message":"authentication failed: the token's kid names no key`, 4201, "token's key unknown")
	s.set("k4", http.StatusInternalServerError)
	f("k4", `"code":-32010,"message":"not now: the token cannot be checked`, 1013, awayReason)
}

// TestAskingEnds: a client that is gone, or too late, before the answer comes.
func TestAskingEnds(t *testing.T) {
	s := newKeyServer(t)
	h := fetching(t, s, func(cfg *config.Config) { cfg.Auth.Timeout = 200 * time.Millisecond })
	s.gate.Lock()
	s.set("k2", http.StatusOK)
	gone, late := dial(t, h, s.token("k2", "42"), ""), dial(t, h, s.token("k2", "42"), "")
	method := dial(t, h, "", "")
	method.take()
	method.says(authenticateBy(s.token("k2", "42")))
	h.closed(gone, 1006)
	late.hears(t, `"code":-32003`)
	method.hears(t, `"code":-32003`)
	if late.closed() != 4004 || method.closed() != 4004 || h.limit.Pending.Load() != 0 {
		t.Errorf("closed with %d and %d, %d are pending", late.closed(), method.closed(), h.limit.Pending.Load())
	}
	s.gate.Unlock()
	testwait.Holds(testwait.Patience, func() bool { return h.auth.Source().Waiting == 0 })
	if n := h.limit.Pending.Load(); n != 0 || late.take() != "" || method.take() != "" || h.limit.Users.Len() != 0 {
		t.Errorf("%d are pending, %d users, or something was sent", n, h.limit.Users.Len())
	}

	// Gone between the check of its token and its admission: it holds no place of its user.
	s.set("k2", http.StatusOK)
	parked := dial(t, h, s.token("k5", "42"), "")
	session := sessionOf(parked)
	h.closed(parked, 1006)
	h.judgedInHandshake(parked, session, phAsking, "", false, auth.Identity{User: "42",
		Expires: time.Now().Add(time.Hour).Unix()}, nil, time.Now(), func(fault, int, string) {})
	if h.limit.Users.Len() != 0 || h.limit.Pending.Load() != 0 || session.phase != phClosed {
		t.Errorf("%d users, %d are pending, phase %d", h.limit.Users.Len(), h.limit.Pending.Load(), session.phase)
	}

	full := newFakeConn(h)
	full.full = true
	full.h.open(full, &upgrade.Request{Token: s.token("k9", "42")})
	full.hears(t, `"id":null,"error":{"code":-32010`)
	if full.closed() != 1013 {
		t.Errorf("closed with %d", full.closed())
	}
}
