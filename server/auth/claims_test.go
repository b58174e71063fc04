package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// signText signs a token whose header and claims are written out.
func signText(t testing.TB, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	sig, err := jwt.SigningMethodHS256.Sign(text, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// TestTokenText: what the text of a token decides, and not what a decoder makes of it.
func TestTokenText(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret, Issuer: "us", Leeway: 30 * time.Second}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	const hs256 = `{"alg":"HS256","typ":"JWT"}`
	f := func(header, claims, user string, want error) {
		t.Helper()
		id, err := a.ParseToken(signText(t, header, claims))
		if !errors.Is(err, want) || id.User != user {
			t.Errorf("%s %s: user %q, got %v, want %v", header, claims, id.User, err, want)
		}
	}
	body := func(more string) string {
		return fmt.Sprintf(`{"iss":"us","exp":%d,%s}`, time.Now().Add(time.Hour).Unix(), more)
	}
	good := body(`"sub":"42"`)
	f(hs256, good, "42", nil)

	// Extensions that must be understood, and parameters that come twice (RFC 7515, 4 and 4.1.11).
	f(`{"alg":"HS256","crit":["myparam"],"myparam":1}`, good, "", errCritical)
	f(`{"alg":"HS256","crit":["b64"],"b64":true}`, good, "", errCritical)
	f(`{"alg":"HS256","crit":[]}`, good, "", errCritical)
	f(`{"alg":"HS256","crit":null}`, good, "", errCritical)
	f(`{"alg":"HS256","CRIT":["x"],"x":1}`, good, "42", nil) // names are exact
	f(`{"alg":"none","alg":"HS256"}`, good, "", errDoubled)
	f(`{"alg":"HS256","kid":"a","\u006bid":"b"}`, good, "", errDoubled)

	// Claims that come twice, and names that are nearly those of claims (RFC 7519, 4).
	f(hs256, body(`"sub":"u1","sub":"u2"`), "", errDoubled)
	f(hs256, body(`"sub":"u1","s\u0075b":"u2"`), "", errDoubled)
	f(hs256, body(`"sub":"u1","role":"a","role":"b"`), "", errDoubled)
	f(hs256, body(`"sub":"u1","exp":9999999999`), "", errDoubled)
	many := ""
	for i := range 40 {
		many += fmt.Sprintf(`"c%d":1,`, i)
	}
	f(hs256, body(many+`"sub":"42"`), "42", nil)
	f(hs256, body(many+`"sub":"42","c17":1`), "", errDoubled)
	f(hs256, body(`"sub":"42","x":{"a":1,"a":2}`), "42", nil) // no claim
	f(hs256, body(`"sub":"42","SUB":"43","Exp":1`), "42", nil)
	f(hs256, body(`"SUB":"43"`), "", errNoUser)

	// Types.
	f(hs256, body(`"sub":42`), "", errUserType)
	f(hs256, body(`"sub":["42"]`), "", errUserType)
	f(hs256, body(`"sub":null`), "", errNoUser)
	f(hs256, body(`"sub":"42","nbf":"soon"`), "", errMalformed)
	f(hs256, body(`"sub":"42","jti":7,"iat":"yesterday"`), "42", nil)
	f(hs256, body(`"sub":"42","nbf":1e300`), "", ErrEarly)
	f(hs256, `{"iss":"us","sub":"42","exp":1e300}`, "", errExpires)
	f(hs256, `{"iss":"us","sub":"42","exp":1e999}`, "", errExpires)
	f(hs256, `null`, "", errClaim)
	f(hs256, `[]`, "", errMalformed)
}

// TestTokenTimes: what passes by itself is told apart from what never does, and comes last.
func TestTokenTimes(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret, Issuer: "us", Leeway: config.Default().Auth.Leeway}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := func(exp, nbf, iat time.Duration, more string, want error) {
		t.Helper()
		at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
		_, err := a.ParseToken(signText(t, `{"alg":"HS256"}`,
			fmt.Sprintf(`{"exp":%d,"nbf":%d,"iat":%d,%s}`, at(exp), at(nbf), at(iat), more)))
		if !errors.Is(err, want) {
			t.Errorf("exp %v, nbf %v, iat %v, %s: got %v, want %v", exp, nbf, iat, more, err, want)
		}
	}
	const us = `"iss":"us","sub":"42"`
	f(time.Hour, 0, 0, us, nil)
	for _, ahead := range []time.Duration{time.Second, time.Minute, 240 * time.Hour} {
		f(time.Hour, 0, ahead, us, nil) // RFC 7519, 4.1.6
	}
	f(-20*time.Second, 0, 0, us, nil) // the default leeway
	f(time.Hour, 20*time.Second, 0, us, nil)
	f(-40*time.Second, 0, 0, us, ErrExpired)
	f(time.Hour, 40*time.Second, 0, us, ErrEarly)
	f(-time.Hour, 0, 0, `"iss":"them","sub":"42"`, errIssuer)
	f(-time.Hour, 0, 0, `"iss":"us","sub":"a b"`, errBadUser)
	f(time.Hour, time.Hour, 0, `"iss":"us"`, errNoUser)
}
