package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority makes certificates of clients, or of authorities under it.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	tls.Certificate
}

// make makes one for a name that ends at a time, under another one; nil: it is its own.
func (of *authority) make(t *testing.T, name string, end time.Time, ca bool) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: end, Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{"desk"}},
		BasicConstraintsValid: true, IsCA: ca}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign
	} else {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	parent, signer, chain := c, any(key), [][]byte(nil)
	if of != nil {
		parent, signer, chain = of.cert, of.PrivateKey, of.Certificate.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{t, c, tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key}}
}

// write puts it into a file.
func (of *authority) write(file string) {
	of.t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: of.cert.Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		of.t.Fatal(err)
	}
}

const byCertificate = `
server:
  listen: "127.0.0.1:0"
  drain: 3s
  tls: {cert_file: %q, key_file: %q, client_auth: optional, client_ca_file: %q}
auth: {secret: %q, leeway: 2s, required_claims: {role: desk}, certificate: {user: cn, claims: {role: ou}}}
rooms:
  - {match: "desk:*", class: stream}
  - {match: "orders:{owner}", class: private}
auto_join: ["desk:1", "orders:{sub}"]
ingest:
  routes:
    - {topic: desks, rooms: ["desk:{@key}"], type: desk_update}
allow:
  "desk:*": {role: desk}
`

// TestClientCertificates: a client comes in with its certificate and has its user's rooms and rights. Others'
// are refused in the handshake. A connection ends when a certificate ends that its own one needs. SIGHUP
// takes other issuers, though something else has changed that takes a restart.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	year := time.Now().Add(365 * 24 * time.Hour)
	ca, other := (*authority)(nil).make(t, "ca", year, true), (*authority)(nil).make(t, "other", year, true)
	file := filepath.Join(t.TempDir(), "clients.pem")
	ca.write(file)
	k := fakeCluster(t)
	k.topic(t, "desks", 1)
	certFile, keyFile, trust := certificate(t)
	yaml := config(k, fmt.Sprintf(byCertificate, certFile, keyFile, file, secret))
	g := start(t, yaml)
	try := func(with *authority) (*client, error) {
		secure := trust.Clone()
		secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &with.Certificate, nil // also where its issuer is not one that the gateway names
		}
		secure.MaxVersion = tls.VersionTLS12 // where the client itself sees the alert in the handshake
		return tryDial(t, g, dialing{secure: secure})
	}
	in := func(with *authority) *client {
		t.Helper()
		c, err := try(with)
		if err != nil {
			t.Fatal(err)
		}
		if said := string(c.notice("auth_required")); !strings.Contains(said, `"certificate":true`) {
			t.Errorf("it is not told to use its certificate: %s", said)
		}
		if r := c.call("authenticate", map[string]any{"certificate": true}); r.Error != nil ||
			!strings.Contains(string(r.Result), `"userId":"42"`) {
			t.Fatalf("%s, %v", r.Result, r.Error)
		}
		c.notice("auto_subscribed")
		c.isIn("desk:1", "orders:42")
		return c
	}
	out := func(with *authority, why string) {
		t.Helper()
		if _, err := try(with); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("refused: %v, want %s", err, why)
		}
	}
	mine, others := ca.make(t, "42", year, false), other.make(t, "42", year, false)
	c := in(mine)
	out(others, "unknown certificate authority")
	if n := g.metric("tapecast_tls_client_certificates_total", "outcome", "unknown_ca"); n != 1 {
		t.Errorf("%v are counted", n)
	}

	end := time.Now().Add(15 * time.Second)
	short := in(ca.make(t, "intermediate", end, true).make(t, "42", year, false))
	if code := short.awaitClose(15*time.Second + patience); code != 4201 || time.Now().Before(end.Add(-time.Second)) {
		t.Errorf("closed with %d, %s before the intermediate one has ended", code, time.Until(end))
	}

	other.write(file)
	next := strings.Replace(yaml, "leeway: 2s", "leeway: 3s", 1)
	if err := os.WriteFile(g.cmd.Args[len(g.cmd.Args)-1], []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	g.cmd.Process.Signal(syscall.SIGHUP)
	g.waitLog(patience, "the configuration has changed in what SIGHUP does not take: restart the gateway for these",
		func(l logLine) bool { return l["keys"] == "auth.leeway" })
	in(others)
	out(mine, "unknown certificate authority")
	c.isIn("desk:1", "orders:42")
	c.check()
}
