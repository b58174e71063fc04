package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// TestRequiredClaims: what a token must say, and how long it may live.
func TestRequiredClaims(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret, MaxTokenLife: time.Hour, Leeway: 30 * time.Second,
		RequiredClaims: map[string]string{"scope": "read", "tenant": "acme", "level": "3", "team": ""}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := func(want error, name string, value any) {
		t.Helper()
		c := jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour - time.Second).Unix(), "scope": "read write",
			"tenant": []string{"other", "acme"}, "level": 3, "team": "x"}
		if c[name] = value; value == nil {
			delete(c, name)
		}
		_, err := a.ParseToken(sign(t, jwt.SigningMethodHS256, []byte(testSecret), c))
		if !errors.Is(err, want) {
			t.Errorf("%s %v: %v, want %v", name, value, err, want)
		}
		if err != nil && !IsSigned(err) {
			t.Errorf("%v counts as a guess", err)
		}
	}
	f(nil, "other", 1)
	f(nil, "scope", "read")
	f(nil, "scope", []string{"read"})
	f(nil, "tenant", "acme")
	f(nil, "team", []string{})
	f(nil, "team", false)
	for _, bad := range []any{nil, "", "reader", "write", []string{"read write"}, map[string]string{"read": "read"},
		3} {
		f(errWanted, "scope", bad)
	}
	for _, bad := range []any{4, "33", 3.5, true} {
		f(errWanted, "level", bad)
	}
	f(nil, "level", "3")
	f(errWanted, "team", nil)
	f(errLife, "exp", time.Now().Add(2*time.Hour).Unix())
}
