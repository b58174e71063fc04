package session

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

// certificateOf makes a client's certificate.
func certificateOf(t testing.TB, cn, ou string, life time.Duration) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(life), Subject: pkix.Name{CommonName: cn, OrganizationalUnit: []string{ou}}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func certificateHandler(t testing.TB, change ...func(*config.Config)) *Handler {
	return newTestHandler(t, append([]func(*config.Config){func(cfg *config.Config) {
		cfg.Server.TLS.ClientAuth = "optional"
		cfg.Auth.Certificate = config.Certificate{User: "cn", Match: "[0-9]+", Claims: map[string]string{"role": "ou"}}
		cfg.Auth.UserPattern = ".{1,3}"
		cfg.Anonymous.Rooms = []string{"prices"}
		cfg.Allow = map[string]config.Conditions{"trades:*": {"role": {"desk"}}}
	}}, change...)...)
}

// withCertificate makes a connection whose client has shown a certificate.
func withCertificate(t testing.TB, h *Handler, cert *x509.Certificate, token string) *fakeConn {
	t.Helper()
	c := newFakeConn(h)
	c.cert, c.id = cert, 1000+h.limit.Requests.Load() // each pays for itself
	if v := h.open(c, &upgrade.Request{Token: token}); v.Status != 0 {
		t.Fatalf("open refused: %+v", v)
	}
	return c
}

const byCertificate = `{"method":"authenticate","params":{"certificate":true,"join":["user:42"]},"id":1}`

// TestCertificate: a client with a certificate is told that it is enough, and is its user.
func TestCertificate(t *testing.T) {
	h := certificateHandler(t, func(cfg *config.Config) { cfg.Limits.ConnectionsPerUser = 1 })
	cert := certificateOf(t, "42", "desk", time.Hour)
	c := withCertificate(t, h, cert, "")
	if got := c.take(); !strings.Contains(got, `"method":"auth_required","params":{"timeout":10000,"maxMessage":65536,`+
		`"certificate":true}}`) {
		t.Error(got)
	}
	if got := c.says(byCertificate); !strings.Contains(got, `"userId":"42"`) || c.closed() != 0 {
		t.Fatalf("%s, closed with %d", got, c.closed())
	}
	c.says(subscribe("orders:42", "orders:7", "trades:A"))
	c.isIn(t, "user:42", "orders:42", "trades:A")
	end := sessionOf(c).end(h.auth.Leeway())
	if end.After(cert.NotAfter) || end.Before(cert.NotAfter.Add(-time.Second)) {
		t.Errorf("it ends at %s, its certificate at %s", end, cert.NotAfter)
	}
	if got := c.says(byCertificate); !strings.Contains(got, `"userId":"42"`) {
		t.Errorf("again: %s", got)
	}
	other := withCertificate(t, h, cert, "")
	other.take()
	if got := other.says(byCertificate); !strings.Contains(got, tooManyOfUser) || other.closed() != 4129 {
		t.Errorf("one connection too many: %s, closed with %d", got, other.closed())
	}
	h.closed(c, 1000)

	// Revocations hold, of the user and of the certificate.
	id, err := h.auth.OfCertificate(cert, cert.NotAfter)
	if err != nil {
		t.Fatal(err)
	}
	for key, code := range map[string]int{"user:42": 4003, "jti:" + id.ID: 4201} {
		by, err := h.Revoked().Only(key, "{}")
		if err != nil {
			t.Fatal(err)
		}
		c := withCertificate(t, h, cert, "")
		c.says(byCertificate)
		h.closeIf(c, by, "")
		if c.closed() != code {
			t.Errorf("%s: closed with %d", key, c.closed())
		}
		h.closed(c, code)
	}
}

// TestCertificateCost: it costs what a token costs.
func TestCertificateCost(t *testing.T) {
	costOf := func(text string) int64 {
		q := getRequest()
		defer putRequest(q)
		if f := q.parse([]byte(text)); f.is() {
			t.Fatal(f.text)
		}
		return q.cost(0)
	}
	with := costOf(`{"method":"authenticate","params":{"certificate":true},"id":1}`)
	without := costOf(`{"method":"authenticate","params":{"anonymously":true},"id":1}`)
	if with-without != config.TokenCost {
		t.Errorf("%d, and %d without it", with, without)
	}
}

// TestCertificateRefused: what a client hears whose certificate does not let it in.
func TestCertificateRefused(t *testing.T) {
	on, off := certificateHandler(t), newTestHandler(t)
	f := func(h *Handler, cert *x509.Certificate, text, want string, code int) {
		t.Helper()
		c := withCertificate(t, h, cert, "")
		if got := c.take(); strings.Contains(got, "certificate") {
			t.Errorf("it is told to use its certificate: %s", got)
		}
		if got := c.says(text); !strings.Contains(got, want) || c.closed() != code || len(c.in) > 0 {
			t.Errorf("%s: closed with %d, want %s, %d", got, c.closed(), want, code)
		}
		c.SetTimer(time.Time{})
	}
	const failed = `"code":-32002,"message":"authentication failed: `
	f(off, certificateOf(t, "42", "", time.Hour), byCertificate, failed+"a token is needed here", 4001)
	f(on, nil, byCertificate, failed+"no certificate came with this connection", 4001)
	f(on, certificateOf(t, "x", "", time.Hour), byCertificate, failed+"the certificate does not name a user", 4001)
	f(on, certificateOf(t, "4242", "", time.Hour), byCertificate, "(auth.user_pattern)", 4001)
	f(on, certificateOf(t, "42", "", -time.Minute), byCertificate, "the certificate has expired", 4201)
	f(on, nil, `{"method":"authenticate","params":{"certificate":1},"id":1}`, `"code":-32602`, 0)
	f(on, nil, `{"method":"authenticate","params":{"certificate":true,"token":"x"},"id":1}`, `"code":-32602`, 0)
	f(on, nil, `{"method":"authenticate","params":{"certificate":true,"anonymous":true},"id":1}`, `"code":-32602`, 0)
	f(on, nil, `{"method":"authenticate","params":{"certificate":false},"id":1}`, `params.token is missing`, 0)
	for range 200 { // they are no guesses, which would wear the address out
		f(on, nil, byCertificate, "no certificate", 4001)
	}

	// A token counts for itself, but not beyond the certificate.
	cert := certificateOf(t, "42", "", 10*time.Minute)
	for _, inHead := range []string{tokenOf(t, "7", time.Hour), ""} {
		c := withCertificate(t, on, cert, inHead)
		c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "7", time.Hour) + `","join":[]},"id":1}`)
		if end := sessionOf(c).end(on.auth.Leeway()); c.closed() != 0 || end.After(cert.NotAfter) || on.user(c) != "7" {
			t.Errorf("of %s, until %s, closed with %d", on.user(c), end, c.closed())
		}
		if got := c.says(byCertificate); !strings.Contains(got, "of another user") {
			t.Errorf("as its certificate's: %s", got)
		}
		c.SetTimer(time.Time{})
	}
}

// TestCertificateEnds: a connection ends with its certificate, whoever it belongs to.
func TestCertificateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := certificateHandler(t)
		begun := time.Now()
		cert := certificateOf(t, "42", "", 30*time.Hour)
		for _, text := range []string{byCertificate, asNobody} {
			c := newFakeConn(h)
			c.cert = certificateOf(t, "42", "", 60*time.Hour)
			c.until = cert.NotAfter // of one that it depends on
			h.open(c, &upgrade.Request{})
			c.says(text)
			if c.closed() != 0 {
				t.Fatalf("%s: closed with %d", text, c.closed())
			}
			testwait.Pass(cert.NotAfter.Sub(begun) - 2*time.Second - time.Since(begun))
			if c.closed() != 0 {
				t.Errorf("%s: closed with %d before the end", text, c.closed())
			}
			testwait.Pass(3 * time.Second)
			if c.closed() != 4201 {
				t.Errorf("%s: closed with %d after the end", text, c.closed())
			}
			h.closed(c, 4201)
			begun = time.Now()
			cert = certificateOf(t, "42", "", 30*time.Hour)
		}
	})
}
