package session

import (
	"strings"
	"testing"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/server/config"
)

// TestVet: which pages may connect, and whether a token may come in the URL.
func TestVet(t *testing.T) {
	token := tokenOf(t, "42", time.Hour)
	f := func(h *Handler, origin, query string, status int, words string) {
		t.Helper()
		r := &upgrade.Request{Token: token, Query: query, Header: func(name string) string {
			if name == "Origin" {
				return origin
			}
			return ""
		}}
		c := newFakeConn(h)
		v := h.open(c, r)
		if v.Status != status || !strings.Contains(v.Body, words) || (c.session != nil) != (status == 0) {
			t.Errorf("origin %q, query %q: %+v, want %d and %q", origin, query, v, status, words)
		}
	}
	any := newTestHandler(t)
	f(any, "https://evil.example", "token="+token, 0, "")
	h := newTestHandler(t, func(cfg *config.Config) {
		cfg.Auth.Origins = []string{"https://app.example.com", "https://*.example.org", "http://localhost:3000"}
		cfg.Auth.QueryToken = false
	})
	for _, good := range []string{"", "https://app.example.com", "HTTPS://App.Example.com", "https://a.example.org",
		"https://b.c.example.org", "http://localhost:3000"} {
		f(h, good, "", 0, "")
	}
	for _, bad := range []string{"null", "https://example.org", "https://.example.org", "http://app.example.com",
		"https://app.example.com.evil.example", "https://evilexample.org", "https://a.example.org:444",
		"http://localhost", "http://a.example.org"} {
		f(h, bad, "", 403, "auth.origins")
	}
	f(h, "", "token="+token, 400, "auth.query_token")
	f(h, "", "join=manual&token=x", 400, "auth.query_token")
	f(h, "https://app.example.com", "join=manual", 0, "")
}
