package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/auth/keyset"
	"tapecast/server/config"
)

// awayIssuer returns an Authenticator that runs, and whose issuer answers with 503.
func awayIssuer(t *testing.T) (*Authenticator, *config.Auth) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	cfg := &config.Auth{JWKSURL: srv.URL, JWKSRefresh: time.Hour}
	a, err := New(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	started := make(chan struct{})
	go a.Run(ctx, func() { close(started) })
	<-started
	if usable, detail := a.Health(); usable || !strings.Contains(detail, "status 503") {
		t.Errorf("without any key: %v, %s", usable, detail)
	}
	return a, cfg
}

// TestFetchedKeys: keys of the configuration and of the issuer, side by side.
func TestFetchedKeys(t *testing.T) {
	public, private := testEd25519(t)
	keys, _, err := keyset.Parse([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	a, cfg := awayIssuer(t)
	ed := signing{key: private}
	f := func(token string, want error) {
		t.Helper()
		if _, err := a.ParseToken(token); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	hs := signing{key: []byte(testSecret)}.tokenOf(t, jwt.SigningMethodHS256, "x")
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "a"), ErrAsk)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, ""), ErrAsk) // nothing was fetched yet
	f(hs, errMethod)                                     // no issuer publishes a secret
	f(sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "42"}), errMethod)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, strings.Repeat("k", keyset.MaxID+1)), ErrUnknownKey)
	if n := a.Refused(); n != 3 {
		t.Errorf("%d are refused", n)
	}

	keys[0].ID = "a"
	a.take(keys, nil)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "a"), nil)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "b"), ErrAsk)
	a.source.Lack("b")
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "b"), ErrUnknownKey)
	f(hs, errMethod)

	// A reload changes the configuration's keys only.
	with := *cfg
	with.Secret = testSecret
	if err := a.Reload(&with); err != nil || a.Keys() != 2 {
		t.Fatal(err, a.Keys())
	}
	f(hs, nil)
	a.take(nil, nil)
	f(hs, nil)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "a"), ErrAsk)

	// A key without a kid is tried first, and the issuer's is asked for all the same.
	other, _ := testEd25519(t)
	with = *cfg
	with.PublicKey = other
	if err := a.Reload(&with); err != nil {
		t.Fatal(err)
	}
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "d"), ErrAsk)
	a.source.Lack("d")
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "d"), ErrUnknownKey)
	a.take(keys, nil)
	f(ed.tokenOf(t, jwt.SigningMethodEdDSA, "a"), nil)

	// The same key of both is there once.
	with.PublicKey = ""
	with.Keys = []config.AuthKey{{KID: "a", PublicKey: public}}
	if err := a.Reload(&with); err != nil || a.Keys() != 1 {
		t.Error(err, a.Keys())
	}
}

// TestFetchedKeysAway: a token whose key cannot be fetched is answered with that.
func TestFetchedKeysAway(t *testing.T) {
	_, private := testEd25519(t)
	a, _ := awayIssuer(t)
	ed := signing{key: private}
	var answer atomic.Pointer[error]
	unknown := ed.tokenOf(t, jwt.SigningMethodEdDSA, "c")
	_, ask := a.ParseToken(unknown)
	if !a.Ask(unknown, ask, 1, func(_ Identity, err error) { answer.Store(&err) }) {
		t.Fatal("not asked")
	}
	if !testwait.Holds(testwait.Patience, func() bool { return answer.Load() != nil }) || *answer.Load() != ErrAway {
		t.Errorf("answered with %v", answer.Load())
	}
}
