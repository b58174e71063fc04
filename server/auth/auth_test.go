package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

const testSecret = "0123456789abcdef0123456789abcdef"

var quiet = slog.New(slog.DiscardHandler)

// minted is a token that a server with testSecret takes.
func minted(t testing.TB, user string, ttl time.Duration) string {
	t.Helper()
	token, err := MintToken(&config.Config{Auth: config.Auth{Secret: testSecret}}, user, ttl, false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func testEd25519(t testing.TB) (public string, private ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), priv
}

func sign(t testing.TB, m jwt.SigningMethod, key any, claims jwt.Claims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(m, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parsing checks tokens, each with an Authenticator of its own.
type parsing struct {
	t       *testing.T
	public  string
	private any
	both    config.Auth // with a secret and a public key
}

func newParsing(t *testing.T) *parsing {
	public, private := testEd25519(t)
	return &parsing{t, public, private, config.Auth{Secret: testSecret, PublicKey: public, Issuer: "us",
		Audience: "tapecast", Leeway: 10 * time.Second}}
}

// claims returns good claims but for these: pairs of name and value. nil: there is none.
func (p *parsing) claims(more ...any) jwt.MapClaims {
	m := jwt.MapClaims{"sub": "42", "exp": in(time.Hour), "iss": "us", "aud": []string{"a", "tapecast"}}
	for i := 0; i < len(more); i += 2 {
		if m[more[i].(string)] = more[i+1]; more[i+1] == nil {
			delete(m, more[i].(string))
		}
	}
	return m
}

func (p *parsing) check(cfg config.Auth, token string, want error) {
	p.t.Helper()
	a, err := New(&cfg, quiet)
	if err != nil {
		p.t.Fatal(err)
	}
	id, err := a.ParseToken(token)
	if !errors.Is(err, want) {
		p.t.Errorf("got %v, want %v", err, want)
	}
	if err == nil && (id.User == "" || id.Expires <= 0) {
		p.t.Errorf("identity %+v", id)
	}
	if err != nil && (id != Identity{} || a.refused.Load() != 1) || a.checked.Load() != 1 {
		p.t.Errorf("identity %+v, %d refused, %d checked", id, a.refused.Load(), a.checked.Load())
	}
}

// in returns a time from now, in seconds since 1970.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func TestParseToken(t *testing.T) {
	p := newParsing(t)
	f, c, both, public, private := p.check, p.claims, p.both, p.public, p.private
	_, otherKey := testEd25519(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(testSecret)
	hs := func(m jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, secret, m) }
	f(both, hs(c()), nil)
	f(both, sign(t, jwt.SigningMethodEdDSA, private, c()), nil)
	f(both, sign(t, signingEd25519, private, c()), nil) // RFC 9864
	f(both, hs(c("aud", "tapecast")), nil)
	f(both, hs(c("sub", "google-oauth2|urn:1_x@example.com/Ünïcode")), nil)

	// algorithms and keys
	f(config.Auth{Secret: testSecret}, sign(t, jwt.SigningMethodEdDSA, private, c()), errMethod)
	f(config.Auth{Secret: testSecret}, sign(t, signingEd25519, private, c()), errMethod)
	f(both, sign(t, signingEd25519, otherKey, c()), errSignature)
	f(config.Auth{PublicKey: public}, hs(c()), errMethod)
	f(config.Auth{PublicKey: public}, sign(t, jwt.SigningMethodHS256, []byte(public), c()), errMethod)
	f(both, sign(t, jwt.SigningMethodHS512, secret, c()), errMethod)
	f(both, sign(t, jwt.SigningMethodRS256, rsaKey, c()), errMethod)
	f(both, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c()), errMethod)
	f(both, sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), c()), errSignature)
	f(both, sign(t, jwt.SigningMethodEdDSA, otherKey, c()), errSignature)
	f(both, hs(c())[:100]+"AAAA", errMalformed)
}

// TestParseTokenClaims: what a token says must be said as it should be.
func TestParseTokenClaims(t *testing.T) {
	p := newParsing(t)
	f, c, both := p.check, p.claims, p.both
	hs := func(m jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, []byte(testSecret), m) }

	// times
	f(both, hs(c("exp", nil)), errClaim)
	f(both, hs(c("exp", in(-11*time.Second))), ErrExpired)
	f(both, hs(c("exp", in(-5*time.Second))), nil) // within the leeway
	f(both, hs(c("exp", in(time.Hour), "nbf", in(time.Minute))), ErrEarly)
	f(both, hs(c("iat", in(time.Minute))), nil)
	f(both, hs(c("nbf", in(5*time.Second), "iat", in(5*time.Second))), nil)
	f(both, hs(c("exp", float64(in(time.Hour))+0.5)), nil)
	f(both, hs(c("exp", int64(1e15))), errExpires)
	f(both, hs(c("exp", "tomorrow")), errMalformed)

	// issuer and audience
	f(both, hs(c("iss", "them")), errIssuer)
	f(both, hs(c("iss", nil)), errClaim)
	f(both, hs(c("aud", "b")), errAudience)
	f(both, hs(c("aud", nil)), errClaim)
	f(config.Auth{Secret: testSecret}, hs(c("iss", nil, "aud", nil)), nil)

	// users
	f(both, hs(c("sub", nil)), errNoUser)
	f(both, hs(c("sub", "")), errNoUser)
	f(both, hs(c("sub", 42)), errUserType)
	f(both, hs(c("sub", strings.Repeat("x", 128))), nil)
	f(both, hs(c("sub", strings.Repeat("x", 129))), errLongUser)
	for _, bad := range []string{"a b", "a\tb", "a\x00", "*", "{sub}", `a"`, `a\b`, "a\u200b", "\ufffd", "a\u00a0b"} {
		f(both, hs(c("sub", bad)), errBadUser)
	}

	// no tokens
	f(both, "", errEmpty)
	f(both, "x", errMalformed)
	f(both, "a.b.c", errMalformed)
	f(both, "e30.e30.", errMethod)
	f(both, strings.Repeat("x", maxToken+1), errLong)
}

func TestNewAuthenticatorErrors(t *testing.T) {
	f := func(cfg config.Auth, words string) {
		t.Helper()
		if _, err := New(&cfg, quiet); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	f(config.Auth{}, "set auth.secret, auth.public_key")
	f(config.Auth{Secret: "short"}, "auth.secret: the key has 5 bytes")
	f(config.Auth{PublicKey: "x"}, "auth.public_key")
}

// Errors reach clients and logs.
func TestTokenErrorsHoldNoToken(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	good := minted(t, "carol", time.Hour)
	for _, token := range []string{good[:len(good)-2], "x" + good, good + ".x", strings.Replace(good, ".", ".%", 1),
		minted(t, "carol", time.Nanosecond)} {
		_, err := a.ParseToken(token)
		if err == nil {
			t.Errorf("accepted: %s", token)
			continue
		}
		for _, part := range append(strings.Split(token, "."), "carol") {
			if part != "x" && strings.Contains(err.Error(), part) {
				t.Errorf("%q holds a part of the token", err)
			}
		}
	}
}

func FuzzParseToken(f *testing.F) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(minted(f, "42", time.Hour))
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.ParseToken(token)
		if err == nil && (checkUser(id.User, nil) != nil || id.Expires <= 0) {
			t.Errorf("%q gives %+v", token, id)
		}
	})
}
