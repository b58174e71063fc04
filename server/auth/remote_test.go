package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/auth/verify"
	"tapecast/server/config"
)

// service checks tokens in a test: it answers with the text, or the status.
type service struct {
	t     *testing.T
	url   string
	says  atomic.Pointer[string]
	fails atomic.Int32 // a status; 0: none
	calls atomic.Int32
}

func newService(t *testing.T) *service {
	s := &service{t: t}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if status := s.fails.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		io.WriteString(w, *s.says.Load())
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	s.set(`{"user":{"id":42}}`, 0)
	return s
}

func (s *service) set(says string, status int32) {
	s.says.Store(&says)
	s.fails.Store(status)
}

// authenticator is one that asks the service.
func (s *service) authenticator(cfg config.Auth) *Authenticator {
	s.t.Helper()
	cfg.Verify.URL, cfg.Verify.Timeout = s.url, 5*time.Second
	a, err := New(&cfg, quiet)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx, func() {}) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	return a
}

// checked is a token's identity, however it is found out.
func checked(t *testing.T, a *Authenticator, token string) (Identity, error) {
	t.Helper()
	id, err := a.ParseToken(token)
	if !errors.Is(err, ErrAsk) {
		return id, err
	}
	done := make(chan struct{})
	if !a.Ask(token, err, len(token), func(who Identity, why error) {
		id, err = who, why
		close(done)
	}) {
		t.Fatal("not asked")
	}
	<-done
	return id, err
}

// TestServiceAlone: without a key, tokens may be opaque, and what is known of them is what the service
// says.
func TestServiceAlone(t *testing.T) {
	s := newService(t)
	a := s.authenticator(config.Auth{})
	f := func(token, user string, in time.Duration, calls int32, want error) {
		t.Helper()
		s.calls.Store(0)
		id, err := checked(t, a, token)
		left := time.Until(time.Unix(id.Expires, 0))
		if id.User != user || !errors.Is(err, want) || s.calls.Load() != calls ||
			err == nil && (left > in || left < in-time.Minute) {
			t.Errorf("%s: %+v, %v, %d calls, want %s for %s, %v", token, id, err, s.calls.Load(), user, in, want)
		}
	}
	f("opaque", "42", opaqueLife, 1, nil)
	f("opaque", "42", opaqueLife, 0, nil)
	f(strings.Repeat("x", maxToken), "42", opaqueLife, 1, nil)
	f(strings.Repeat("x", maxToken+1), "", 0, 0, errLong)
	f("a\nb", "", 0, 0, errBearer)
	f("a b", "", 0, 0, errBearer)
	f("ä", "", 0, 0, errBearer)
	f("not.a.jwt", "42", opaqueLife, 1, nil)
	claims := func(more jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodHS256, []byte("a key that the gateway does not have"), more)
	}
	f(claims(jwt.MapClaims{"sub": 7, "exp": in(time.Hour)}), "42", time.Hour, 1, nil)
	f(claims(jwt.MapClaims{"sub": "7"}), "42", opaqueLife, 1, nil)
	f(claims(jwt.MapClaims{"exp": in(-time.Minute)}), "", 0, 1, ErrExpired)
	f(claims(jwt.MapClaims{"exp": "never"}), "", 0, 1, errMalformed)
	token := claims(jwt.MapClaims{"exp": in(time.Hour), "jti": "j", "iat": 1000})
	if id, err := checked(t, a, token); err != nil || id.ID != "j" || id.Issued != 1000 {
		t.Errorf("%+v, %v", id, err)
	}

	s.set(`{"user":{"id":"a b"}}`, 0)
	f("bad", "", 0, 1, errBadUser)
	s.set("", http.StatusUnauthorized)
	f("refused", "", 0, 1, ErrNotThis)
	f("refused", "", 0, 1, ErrNotThis) // refusals are not known
	s.set("", http.StatusForbidden)
	f("refused", "", 0, 1, refusedError{final: true})
	if err := error(refusedError{final: true}); errors.Is(err, ErrNotThis) || IsSigned(err) {
		t.Error("a new token may help who is forbidden")
	}
	f("opaque", "42", opaqueLife, 0, nil)
	s.set(`{"data":{}}`, 0)
	for n := range 10 {
		checked(t, a, fmt.Sprint("senseless", n))
	}
	testwait.Until(t, testwait.Patience, "health tells of answers without a user", func() bool {
		usable, detail := a.Health()
		return usable && strings.Contains(detail, "as in all of its last answers")
	})
	refused := a.Refused()
	s.set("", http.StatusServiceUnavailable)
	f("away", "", 0, 1, ErrAway)
	if n := a.Refused(); n != refused {
		t.Errorf("%d more are refused", n-refused)
	}
	for a.Service().Breaker == "closed" {
		checked(t, a, "away")
	}
	if _, err := a.ParseToken("away"); !errors.Is(err, ErrAway) || !OfService(err) {
		t.Errorf("with an open breaker: %v", err)
	}
	f("opaque", "42", opaqueLife, 0, nil) // known
	if usable, detail := a.Health(); !usable || !strings.Contains(detail, "auth.verify: it answers with status 503") ||
		!strings.Contains(detail, "breaker ") {
		t.Errorf("%v, %s", usable, detail)
	}
}

// TestServiceClaims: claims may come from the answer.
func TestServiceClaims(t *testing.T) {
	s := newService(t)
	a := s.authenticator(config.Auth{MaxTokenLife: time.Hour, RequiredClaims: map[string]string{"role": "desk"},
		Verify: config.Verify{User: "id", Claims: "is"}})
	a.Keep("role")
	n := 0
	f := func(says string, in time.Duration, want error) {
		t.Helper()
		s.set(says, 0)
		n++
		id, err := checked(t, a, fmt.Sprint(n))
		left := time.Until(time.Unix(id.Expires, 0))
		if !errors.Is(err, want) ||
			err == nil && (left > in || left < in-time.Minute || !id.Claims.Has("role", "desk")) {
			t.Errorf("%s: %+v, %v, want %s, %v", says, id, err, in, want)
		}
	}
	f(`{"id":1,"is":{"role":["x","desk"],"sub":7,"iss":8,"aud":9,"iat":"x"}}`, time.Hour, nil)
	f(`{"id":1,"is":{"role":"x"}}`, 0, errWanted)
	f(`{"id":1,"is":{"role":"desk","role":"x"}}`, 0, errDoubled)
	f(fmt.Sprintf(`{"id":1,"is":{"role":"desk","exp":%d}}`, time.Now().Unix()+600), 10*time.Minute, nil)
	f(fmt.Sprintf(`{"id":1,"is":{"role":"desk","exp":%d}}`, time.Now().Unix()+7200), 0, errLife)
	f(fmt.Sprintf(`{"id":1,"is":{"role":"desk","exp":%d}}`, time.Now().Unix()-60), 0, ErrExpired)
	f(`{"id":1}`, 0, ErrAway)
}

// TestServiceAfterKeys: where there is a key, the service is asked about tokens that it has signed.
func TestServiceAfterKeys(t *testing.T) {
	s := newService(t)
	a := s.authenticator(config.Auth{Secret: testSecret})
	for token, want := range map[string]error{"opaque": errMalformed, minted(t, "7", time.Nanosecond): ErrExpired,
		minted(t, "7", time.Hour) + "x": errSignature} {
		if _, err := checked(t, a, token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", token, err, want)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("%d calls about bad tokens", n)
	}
	token := minted(t, "7", time.Hour)
	for range 3 {
		id, err := checked(t, a, token)
		if err != nil || id.User != "42" || time.Until(time.Unix(id.Expires, 0)) > time.Hour {
			t.Errorf("%+v, %v", id, err)
		}
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls about a good one", n)
	}
	// A key that is withdrawn takes along what the service has said.
	if err := a.Reload(&config.Auth{Secret: config.Secret(strings.Repeat("y", 32)), Verify: a.remote}); err != nil {
		t.Fatal(err)
	}
	if _, err := checked(t, a, token); err != errSignature {
		t.Error(err)
	}
}

// TestServiceAfterFetch: a token whose key has to be fetched first is asked about then.
func TestServiceAfterFetch(t *testing.T) {
	s := newService(t)
	rs := rsaSigning(t, "k")
	key, err := jwkset.NewJWKFromKey(rs.key.(crypto.Signer).Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{key.Marshal()}})
	}))
	defer keys.Close()
	a := s.authenticator(config.Auth{JWKSURL: keys.URL, JWKSRefresh: time.Hour})
	token := rs.tokenOf(t, jwt.SigningMethodRS256, "k")
	id, err := checked(t, a, token)
	if err != nil || id.User != "42" || s.calls.Load() != 1 {
		t.Errorf("%+v, %v, %d calls", id, err, s.calls.Load())
	}
	// Found good by another one meanwhile.
	d, done := digestOf("t"), make(chan error, 1)
	a.known.add(d, Identity{User: "8", Expires: time.Now().Unix() + 60}, a.known.generation.Load(),
		time.Now().Add(time.Minute))
	a.askService("t", 0, time.Now().Add(verify.MaxWait), func(got Identity, err error) { id = got; done <- err })
	if err := <-done; err != nil || id.User != "8" || s.calls.Load() != 1 {
		t.Errorf("%+v, %v, %d calls", id, err, s.calls.Load())
	}
}

// TestOpaqueIssued: when a token was issued that does not say it itself is what the service's answer says,
// at auth.verify.issued or as iat of the claims. Where neither says it, the token may be of any age.
func TestOpaqueIssued(t *testing.T) {
	s := newService(t)
	f := func(cfg config.Verify, says string, want int64) {
		t.Helper()
		s.set(says, 0)
		id, err := checked(t, s.authenticator(config.Auth{Verify: cfg}), "opaque")
		if err != nil || id.Issued != want {
			t.Errorf("%s: issued %d, %v, want %d", says, id.Issued, err, want)
		}
	}
	at := config.Verify{User: "sub", Issued: "token.created"}
	f(config.Verify{User: "sub"}, `{"sub":"42","iat":1700000000}`, 0)
	f(config.Verify{User: "sub", Issued: "iat"}, `{"sub":"42","iat":1700000000.9}`, 1700000000)
	f(at, `{"sub":"42","token":{"created":"2023-11-14T23:13:20+01:00"}}`, 1700000000)
	f(at, `{"sub":"42","token":{"created":1700000000000}}`, 0)
	f(at, `{"sub":"42","token":{"created":-1}}`, 0)
	f(at, `{"sub":"42","token":{"created":"yesterday"}}`, 0)
	f(at, `{"sub":"42","token":{"created":[1700000000]}}`, 0)
	f(at, `{"sub":"42","token":7}`, 0)
	f(config.Verify{User: "c.sub", Claims: "c"}, `{"c":{"sub":"42","iat":1700000000}}`, 1700000000)
	f(config.Verify{User: "c.sub", Claims: "c", Issued: "at"}, `{"at":1600000000,"c":{"sub":"42","iat":1700000000}}`,
		1600000000)
	s.set(`{"sub":"42","iat":1700000000}`, 0)
	own, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": 1650000000}).SignedString([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := checked(t, s.authenticator(config.Auth{Verify: config.Verify{User: "sub", Issued: "iat"}}), own)
	if err != nil || id.Issued != 1650000000 {
		t.Errorf("a token that says it: %d, %v", id.Issued, err)
	}
}
