package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/wire"
	"tapecast/server/config"
)

// signText signs a token whose header and claims are written out.
func signText(t testing.TB, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sig, err := jwt.SigningMethodHS256.Sign(text, []byte(hs256Secret))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// TestTokenText: what the text of a token decides, and not what a decoder makes of it.
func TestTokenText(t *testing.T) {
	a, err := newAuthenticator(&config.Auth{Secret: hs256Secret, Issuer: "us", Leeway: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	const hs256 = `{"alg":"HS256","typ":"JWT"}`
	f := func(header, claims, user string, want error) {
		t.Helper()
		id, err := a.ParseToken(signText(t, header, claims))
		if !errors.Is(err, want) || id.user != user {
			t.Errorf("%s %s: user %q, got %v, want %v", header, claims, id.user, err, want)
		}
	}
	body := func(more string) string {
		return fmt.Sprintf(`{"iss":"us","exp":%d,%s}`, time.Now().Add(time.Hour).Unix(), more)
	}
	good := body(`"sub":"42"`)
	f(hs256, good, "42", nil)

	// Extensions that must be understood, and parameters that come twice (RFC 7515, 4 and 4.1.11).
	f(`{"alg":"HS256","crit":["myparam"],"myparam":1}`, good, "", errTokenCritical)
	f(`{"alg":"HS256","crit":["b64"],"b64":true}`, good, "", errTokenCritical)
	f(`{"alg":"HS256","crit":[]}`, good, "", errTokenCritical)
	f(`{"alg":"HS256","crit":null}`, good, "", errTokenCritical)
	f(`{"alg":"HS256","CRIT":["x"],"x":1}`, good, "42", nil) // names are exact
	f(`{"alg":"none","alg":"HS256"}`, good, "", errTokenDoubled)
	f(`{"alg":"HS256","kid":"a","\u006bid":"b"}`, good, "", errTokenDoubled)

	// Claims that come twice, and names that are nearly those of claims (RFC 7519, 4).
	f(hs256, body(`"sub":"u1","sub":"u2"`), "", errTokenDoubled)
	f(hs256, body(`"sub":"u1","s\u0075b":"u2"`), "", errTokenDoubled)
	f(hs256, body(`"sub":"u1","role":"a","role":"b"`), "", errTokenDoubled)
	f(hs256, body(`"sub":"u1","exp":9999999999`), "", errTokenDoubled)
	many := ""
	for i := range 40 {
		many += fmt.Sprintf(`"c%d":1,`, i)
	}
	f(hs256, body(many+`"sub":"42"`), "42", nil)
	f(hs256, body(many+`"sub":"42","c17":1`), "", errTokenDoubled)
	f(hs256, body(`"sub":"42","x":{"a":1,"a":2}`), "42", nil) // no claim
	f(hs256, body(`"sub":"42","SUB":"43","Exp":1`), "42", nil)
	f(hs256, body(`"SUB":"43"`), "", errTokenNoUser)

	// Types.
	f(hs256, body(`"sub":42`), "", errTokenUserType)
	f(hs256, body(`"sub":["42"]`), "", errTokenUserType)
	f(hs256, body(`"sub":null`), "", errTokenNoUser)
	f(hs256, body(`"sub":"42","nbf":"soon"`), "", errTokenMalformed)
	f(hs256, body(`"sub":"42","jti":7,"iat":"yesterday"`), "42", nil)
	f(hs256, body(`"sub":"42","nbf":1e300`), "", errTokenEarly)
	f(hs256, `{"iss":"us","sub":"42","exp":1e300}`, "", errTokenExpires)
	f(hs256, `{"iss":"us","sub":"42","exp":1e999}`, "", errTokenExpires)
	f(hs256, `null`, "", errTokenClaim)
	f(hs256, `[]`, "", errTokenMalformed)
}

// TestTokenTimes: what passes by itself is told apart from what never does, and comes last.
func TestTokenTimes(t *testing.T) {
	cfg := testConfig()
	cfg.Auth.Issuer = "us"
	a, err := newAuthenticator(&cfg.Auth)
	if err != nil {
		t.Fatal(err)
	}
	f := func(exp, nbf, iat time.Duration, more string, want error, code int) {
		t.Helper()
		at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
		_, err := a.ParseToken(signText(t, `{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d,"nbf":%d,"iat":%d,%s}`, at(exp), at(nbf), at(iat), more)))
		if !errors.Is(err, want) {
			t.Errorf("exp %v, nbf %v, iat %v, %s: got %v, want %v", exp, nbf, iat, more, err, want)
		}
		if got, _ := closeOfToken(err); err != nil && got != code {
			t.Errorf("exp %v, nbf %v, iat %v, %s: close %d, want %d", exp, nbf, iat, more, got, code)
		}
	}
	const us = `"iss":"us","sub":"42"`
	f(time.Hour, 0, 0, us, nil, 0)
	for _, ahead := range []time.Duration{time.Second, time.Minute, 240 * time.Hour} {
		f(time.Hour, 0, ahead, us, nil, 0) // RFC 7519, 4.1.6
	}
	f(-20*time.Second, 0, 0, us, nil, 0) // the default leeway
	f(time.Hour, 20*time.Second, 0, us, nil, 0)
	f(-40*time.Second, 0, 0, us, errTokenExpired, wire.CloseExpired)
	f(time.Hour, 40*time.Second, 0, us, errTokenEarly, wire.CloseExpired)
	f(-time.Hour, 0, 0, `"iss":"them","sub":"42"`, errTokenIssuer, wire.CloseAuth)
	f(-time.Hour, 0, 0, `"iss":"us","sub":"a b"`, errTokenBadUser, wire.CloseAuth)
	f(time.Hour, time.Hour, 0, `"iss":"us"`, errTokenNoUser, wire.CloseAuth)
}
