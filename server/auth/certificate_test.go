package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// certificate makes a client's certificate, signed by itself: here nobody verifies it.
func certificate(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: "42",
			OrganizationalUnit: []string{"desk"}, Organization: []string{"Acme", "Risk"}},
		DNSNames: []string{"a.example.com"}, EmailAddresses: []string{"a@example.com"}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOfCertificate: whose a certificate is, by each part of it.
func TestOfCertificate(t *testing.T) {
	f := func(rule config.Certificate, users string, change func(*x509.Certificate), want string) {
		t.Helper()
		a, err := New(&config.Auth{Certificate: rule, UserPattern: users}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		cert := certificate(t, change)
		id, err := a.OfCertificate(cert, cert.NotAfter)
		got := id.User
		if err != nil {
			got = err.Error()
			if is, _ := IsOfCertificate(err); !is {
				t.Errorf("%s is not of a certificate", got)
			}
		}
		if accepted, refused := a.Certificates(); got != want || a.GivesUser(cert, cert.NotAfter) != (err == nil) ||
			accepted+refused != 1 || (accepted == 1) != (err == nil) {
			t.Errorf("%+v: %s, want %s; %d, %d", rule, got, want, accepted, refused)
		}
	}
	spiffe := func(ids ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, id := range ids {
				c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "example.com", Path: "/" + id})
			}
		}
	}
	common := func(cn string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = cn }
	}
	f(config.Certificate{User: "cn"}, "", nil, "42")
	f(config.Certificate{User: "dns"}, "", nil, "a.example.com")
	f(config.Certificate{User: "email", Match: "(.+)@example.com"}, "", nil, "a")
	f(config.Certificate{User: "email", Match: ".+@example.org"}, "", nil, errCertUser.text)
	f(config.Certificate{User: "uri"}, "", nil, errCertUser.text)
	desks := config.Certificate{User: "uri", Match: "spiffe://example.com/desk/([^/]+)"}
	f(desks, "", spiffe("node/1", "desk/7"), "7")
	f(desks, "", spiffe("desk/7/x"), errCertUser.text) // all of it must match
	f(desks, "", spiffe("desk/7", "desk/8"), errCertUsers.text)
	f(config.Certificate{User: "cn"}, "", common(""), errCertUser.text)
	f(config.Certificate{User: "cn", Match: "(.*)x"}, "", common("x"), errCertUser.text)
	f(config.Certificate{User: "cn"}, "", func(c *x509.Certificate) {
		for _, cn := range []string{"victim", "42"} {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames,
				pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: cn})
		}
	}, errCertUsers.text)
	f(config.Certificate{User: "cn"}, "", common("a b"), errCertBadUser.text)
	f(config.Certificate{User: "cn"}, "", common(strings.Repeat("x", 300)), errCertLong.text)
	f(config.Certificate{User: "cn"}, "[a-z]+", nil, errCertForm.text)
	f(config.Certificate{User: "cn"}, "", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		errCertEnded.text)
	f(config.Certificate{User: "cn", Claims: map[string]string{"o": "o"}}, "", nil, "42")

	a, err := New(&config.Auth{Certificate: config.Certificate{User: "cn"}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.OfCertificate(nil, time.Time{}); err != errNoCert || a.GivesUser(nil, time.Time{}) {
		t.Error(err)
	}
	if _, err := minter(t).OfCertificate(certificate(t, nil), time.Now().Add(time.Hour)); err != errCertOff {
		t.Error(err)
	}
}

// minter is an authenticator for which certificates give no users.
func minter(t *testing.T) *Authenticator {
	t.Helper()
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCertificateClaims: rules may ask for parts of a certificate, and revocations know it.
func TestCertificateClaims(t *testing.T) {
	a, err := New(&config.Auth{Certificate: config.Certificate{User: "cn", Claims: map[string]string{
		"role": "ou", "firm": "o", "number": "serial", "none": "uri", "unused": "dns"}}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	a.Keep("role", "firm", "number", "none", "other")
	cert := certificate(t, nil)
	id, err := a.OfCertificate(cert, cert.NotAfter)
	if err != nil {
		t.Fatal(err)
	}
	c := id.Claims
	if !c.Has("role", "desk") || !c.Has("firm", "Acme") || !c.Has("firm", "Risk") || c.Value("number") != "abc" ||
		len(c.List) != 3 {
		t.Errorf("%+v", c)
	}
	if id.Expires != cert.NotAfter.Unix() || id.Issued != cert.NotBefore.Unix() || len(id.ID) != len("sha256:")+64 {
		t.Errorf("%+v", id)
	}
	many := certificate(t, func(c *x509.Certificate) {
		c.Subject.Organization = nil
		for i := range maxClaimValues + 1 {
			c.Subject.Organization = append(c.Subject.Organization, fmt.Sprint(i))
		}
	})
	_, err = a.OfCertificate(many, many.NotAfter)
	if err != errCertClaims {
		t.Error(err)
	}
}

// TestCertificatePolicy: what is required of tokens is required of certificates: claims, and how long they
// may be good for. They are not good for longer than those that they depend on.
func TestCertificatePolicy(t *testing.T) {
	f := func(wants map[string]string, most time.Duration, until time.Duration, left time.Duration, want error) {
		t.Helper()
		a, err := New(&config.Auth{RequiredClaims: wants, MaxTokenLife: most, Certificate: config.Certificate{
			User: "cn", Claims: map[string]string{"role": "ou", "firm": "o", "none": "uri"}}}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		id, err := a.OfCertificate(certificate(t, nil), now.Add(until))
		got := time.Unix(id.Expires, 0).Sub(now)
		if err != want || err == nil && (got > left+2*time.Second || got < left-2*time.Second) {
			t.Errorf("%v, %s: %v, good for %s", wants, most, err, got)
		}
	}
	type wants = map[string]string
	const hour = time.Hour
	f(nil, 0, hour, hour, nil)
	f(wants{"role": "desk"}, 0, hour, hour, nil)
	f(wants{"role": "", "firm": "Risk"}, 0, hour, hour, nil)
	f(wants{"role": "boss"}, 0, hour, 0, errCertWanted)
	f(wants{"role": "desk", "none": ""}, 0, hour, 0, errCertWanted)
	f(wants{"mfa": ""}, 0, hour, 0, errCertWanted)
	f(nil, time.Minute, hour, time.Minute, nil)
	f(nil, 2*hour, hour, hour, nil)
	f(nil, 0, time.Minute, time.Minute, nil) // an intermediate one ends before
	f(nil, 0, -time.Minute, 0, errCertEnded)
}

// TestKeyExpiries: a key that came with a certificate has its dates, also where they change alone.
func TestKeyExpiries(t *testing.T) {
	a := minter(t)
	if list := a.Expiries(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	end := time.Unix(2e9, 0)
	keys := a.static[:1:1]
	for i := range 2 {
		keys[0].NotAfter = end.Add(time.Duration(i) * time.Hour)
		a.take(keys, nil)
		list := a.Expiries()
		if len(list) != 2 || !list[1].End.Equal(keys[0].NotAfter) || list[1].Of != "auth.jwks_url" {
			t.Errorf("%+v", list)
		}
	}
}
