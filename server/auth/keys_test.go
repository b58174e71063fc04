package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// signing is a key of an issuer, and how a gateway is told of it.
type signing struct {
	key    any // what signs
	public config.AuthKey
}

func asymmetric(t testing.TB, kid string, key, public any) signing {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return signing{key, config.AuthKey{KID: kid,
		PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}
}

func rsaSigning(t testing.TB, kid string) signing {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return asymmetric(t, kid, key, &key.PublicKey)
}

func ecSigning(t testing.TB, kid string, curve elliptic.Curve) signing {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return asymmetric(t, kid, key, &key.PublicKey)
}

// tokenOf returns a token of user 42 with a kid ("": none).
func (s signing) tokenOf(t testing.TB, m jwt.SigningMethod, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(m, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()})
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAlgorithms signs by each algorithm, and with each key as if it were of another type.
func TestAlgorithms(t *testing.T) {
	public, private := testEd25519(t)
	long := strings.Repeat("s", 64)
	keys := map[string]signing{
		"mac":  {[]byte(long), config.AuthKey{KID: "mac", Secret: config.Secret(long)}},
		"rsa":  rsaSigning(t, "rsa"),
		"p256": ecSigning(t, "p256", elliptic.P256()),
		"p384": ecSigning(t, "p384", elliptic.P384()),
		"p521": ecSigning(t, "p521", elliptic.P521()),
		"ed":   {private, config.AuthKey{KID: "ed", PublicKey: public}},
	}
	var cfg config.Auth
	for _, k := range keys {
		cfg.Keys = append(cfg.Keys, k.public)
	}
	a, err := New(&cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for kid, methods := range map[string][]jwt.SigningMethod{
		"mac": {jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512},
		"rsa": {jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
			jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512},
		"p256": {jwt.SigningMethodES256}, "p384": {jwt.SigningMethodES384}, "p521": {jwt.SigningMethodES512},
		"ed": {jwt.SigningMethodEdDSA, signingEd25519},
	} {
		for _, m := range methods {
			for _, named := range []string{kid, ""} {
				if id, err := a.ParseToken(keys[kid].tokenOf(t, m, named)); err != nil || id.User != "42" {
					t.Errorf("%s with kid %q: %+v, %v", m.Alg(), named, id, err)
				}
				tried++
			}
			for other := range keys { // a key serves its own algorithms only
				if _, err := a.ParseToken(keys[kid].tokenOf(t, m, other)); other != kid && err != ErrUnknownKey {
					t.Errorf("%s with kid %q: %v", m.Alg(), other, err)
				}
			}
			// Everybody has the public key, so its text must not serve as a secret.
			mac := signing{key: []byte(keys[kid].public.PublicKey)}
			if _, err := a.ParseToken(mac.tokenOf(t, jwt.SigningMethodHS256, "")); err != errSignature {
				t.Errorf("signed with the text of %s: %v", kid, err)
			}
		}
	}
	if tried != 28 {
		t.Errorf("%d tokens were tried, not 28", tried)
	}
}

// TestKeyChoice: a token's kid chooses, and a key without one serves the others.
func TestKeyChoice(t *testing.T) {
	one, two, bare := rsaSigning(t, "one"), rsaSigning(t, "two"), rsaSigning(t, "")
	a, err := New(&config.Auth{PublicKey: bare.public.PublicKey, Keys: []config.AuthKey{one.public, two.public}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := func(s signing, kid string, want error) {
		t.Helper()
		if _, err := a.ParseToken(s.tokenOf(t, jwt.SigningMethodRS256, kid)); !errors.Is(err, want) {
			t.Errorf("kid %q: %v, want %v", kid, err, want)
		}
	}
	f(one, "one", nil)
	f(two, "two", nil)
	f(one, "two", errSignature)
	f(bare, "two", errSignature)
	f(bare, "three", nil)
	f(one, "three", errSignature)
	for _, s := range []signing{one, two, bare} {
		f(s, "", nil)
	}
	f(rsaSigning(t, ""), "", errSignature)

	only := one.public
	only.Algorithms = []string{"PS256"}
	if err := a.Reload(&config.Auth{Keys: []config.AuthKey{only}}); err != nil {
		t.Fatal(err)
	}
	f(one, "one", errMethod) // no key is for RS256
	f(two, "two", errMethod)
	if _, err := a.ParseToken(one.tokenOf(t, jwt.SigningMethodPS256, "one")); err != nil {
		t.Error(err)
	}
	if _, err := a.ParseToken(two.tokenOf(t, jwt.SigningMethodPS256, "two")); err != ErrUnknownKey {
		t.Error(err)
	}

	several := &config.Auth{}
	for _, kid := range []string{"1", "2", "3", "4", "5"} {
		several.Keys = append(several.Keys, rsaSigning(t, kid).public)
	}
	if err := a.Reload(several); err != nil || a.Keys() != 5 {
		t.Fatal(err, a.Keys())
	}
	f(one, "", errNoKID)

	several.Keys[2].PublicKey = "junk"
	if err := a.Reload(several); err == nil || err.Error() != "auth.keys[2]: the key is not in PEM form" {
		t.Error(err)
	}
	if err := a.Reload(&config.Auth{}); err == nil || a.Keys() != 5 {
		t.Errorf("%v, and %d keys are left", err, a.Keys())
	}
	number := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"sub": "42"})
	number.Header["kid"] = 7
	text, _ := number.SignedString(one.key)
	if _, err := a.ParseToken(text); err != errMalformed {
		t.Errorf("a kid that is a number: %v", err)
	}
}
