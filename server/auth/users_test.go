package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestUserPattern: all of a user's id must match, in tokens that come and in those that are made.
func TestUserPattern(t *testing.T) {
	cfg := config.Default()
	cfg.Auth.Secret = testSecret
	f := func(pattern, user string, want error) {
		t.Helper()
		cfg.Auth.UserPattern = ""
		token, err := MintToken(cfg, user, time.Hour, false)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Auth.UserPattern = pattern
		a, err := New(&cfg.Auth, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.ParseToken(token); !errors.Is(err, want) {
			t.Errorf("%q of %q: %v, want %v", user, pattern, err, want)
		} else if err != nil && (!IsSigned(err) || !strings.Contains(err.Error(), "auth.user_pattern")) {
			t.Errorf("%v, counts as a guess: %v", err, !IsSigned(err))
		}
		if _, err := MintToken(cfg, user, time.Hour, false); !errors.Is(err, want) {
			t.Errorf("a token for %q of %q: %v, want %v", user, pattern, err, want)
		}
	}
	f("", "7:stop", nil)
	f("[0-9]+", "42", nil)
	f("[0-9]+", "42a", errUserForm)
	f("[0-9]+", "a42", errUserForm)
	f("[^:]*", "7:stop", errUserForm)
	f("a|b", "ab", errUserForm)
	f("a|b", "b", nil)
	if _, err := New(&config.Auth{Secret: testSecret, UserPattern: "a)|(b"}, quiet); err == nil {
		t.Error("a pattern that is none by itself was taken")
	}
}

// TestIdentityOfToken: what revocations go by. What is not what it should be is not there.
func TestIdentityOfToken(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := func(more, id string, issued int64) {
		t.Helper()
		got, err := a.ParseToken(signText(t, `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"42","exp":9999999999%s}`, more)))
		if want := (Identity{User: "42", Expires: 9999999999, ID: id, Issued: issued}); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", more, got, err, want)
		}
	}
	f(``, "", 0)
	f(`,"jti":"a-b","iat":1700000000`, "a-b", 1700000000)
	f(`,"jti":7,"iat":1700000000.9`, "7", 1700000000)
	f(`,"jti":["a"],"iat":"yesterday"`, "", 0)
	f(`,"jti":null,"iat":-1`, "", 0)
	f(`,"iat":1e300`, "", 0)
	f(`,"iat":null`, "", 0)
}
