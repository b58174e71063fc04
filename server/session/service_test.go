package session

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

// tokenService checks tokens in a test: they are all of user 42. A test makes it wait, or refuse.
type tokenService struct {
	gate   sync.RWMutex // locked: it does not answer
	mu     sync.Mutex
	status int
	calls  map[string]int // by token
}

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]++
	status := s.status
	s.mu.Unlock()
	s.gate.RLock()
	defer s.gate.RUnlock()
	w.WriteHeader(status)
	io.WriteString(w, `{"user":{"id":"42"}}`)
}

func (s *tokenService) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *tokenService) callsOf(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[token]
}

// served returns a handler that asks a service about each token.
func served(t testing.TB) (*Handler, *tokenService) {
	t.Helper()
	s := &tokenService{status: http.StatusOK, calls: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	h := newTestHandler(t, func(cfg *config.Config) {
		cfg.Auth.Secret, cfg.Auth.Verify.URL = "", srv.URL
		cfg.Limits.ConnectionsPerUser = 200
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); h.auth.Run(ctx, func() {}) }()
	t.Cleanup(func() { cancel(); <-ended })
	return h, s
}

// TestService: a token that a service checks parks its session. Many with one token share a call.
func TestService(t *testing.T) {
	h, s := served(t)
	s.gate.Lock()
	var all []*fakeConn
	for i := range 40 {
		token := ""
		if i%2 == 0 {
			token = "one"
		}
		c := dial(t, h, token, "")
		if c.take(); token == "" {
			if got := c.says(authenticateBy("one")); got != "" {
				t.Errorf("answered at once: %s", got)
			}
		}
		all = append(all, c)
	}
	if n := h.limit.Pending.Load(); n != 40 {
		t.Errorf("%d are pending", n)
	}
	gone := dial(t, h, "two", "")
	h.closed(gone, 1006)
	s.gate.Unlock()
	for _, c := range all {
		c.hears(t, "auto_subscribed")
	}
	if n := s.callsOf("one"); n != 1 {
		t.Errorf("%d calls", n)
	}
	if !testwait.Holds(testwait.Patience, func() bool { return h.auth.Service().Waiting == 0 }) ||
		h.limit.Pending.Load() != 0 || gone.take() != "" {
		t.Errorf("%d wait, %d are pending, or one that is gone was told something", h.auth.Service().Waiting,
			h.limit.Pending.Load())
	}
	for _, c := range all {
		h.closed(c, 1000)
	}
	if n := h.limit.Users.Len(); n != 0 {
		t.Errorf("%d users have connections", n)
	}
}

// TestServiceInVain: a service that refuses, and one that fails.
func TestServiceInVain(t *testing.T) {
	h, s := served(t)
	renews := dial(t, h, "good", "")
	renews.hears(t, "auto_subscribed")
	n := 0
	f := func(status int, text string, code int, reason string) {
		t.Helper()
		s.answer(status)
		n++
		token := strings.Repeat("x", n)
		by, in := dial(t, h, "", ""), dial(t, h, token, "")
		by.take()
		for _, c := range []*fakeConn{by, renews} {
			c.h.message(c, 1, []byte(authenticateBy(token)))
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
	}
	const away = `"code":-32010,"message":"not now: the token cannot be checked, since the service that checks it ` +
		`does not answer`
	f(401, `"code":-32002,"message":"authentication failed: the token is not accepted`, 4201, "token not accepted")
	f(403, `"code":-32002,"message":"authentication failed: the service that checks tokens does not let`, 4001,
		"authentication failed")
	f(500, away, 1013, awayReason)
	for h.auth.Service().Breaker == "closed" {
		f(500, away, 1013, awayReason)
	}
	f(500, away, 1013, awayReason)
	known := dial(t, h, "good", "")
	known.hears(t, "auto_subscribed")
	if n := h.limit.Pending.Load(); n != 0 {
		t.Errorf("%d are pending", n)
	}
}
