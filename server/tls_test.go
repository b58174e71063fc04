package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makeCert writes a certificate that is good for so long, and its key.
func makeCert(t *testing.T, dir string, serial int64, life time.Duration) TLSConfig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), MinVersion: "1.2", Handshakes: 16, Waiting: 16}
	for file, block := range map[string]*pem.Block{cfg.CertFile: {Type: "CERTIFICATE", Bytes: cert}, cfg.KeyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func TestTLSFaults(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	makeCert(t, dir, 1, time.Hour)
	makeCert(t, other, 2, time.Hour)
	f := func(text string, want ...string) {
		t.Helper()
		faultsOf(t, strings.NewReplacer("DIR", dir, "OTHER", other).Replace(text), want...)
	}
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem}}")
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem, min_version: 1.3, handshakes: 5}}")
	f("server: {tls: {cert_file: DIR/cert.pem}}", "c.yaml:1: server.tls.cert_file: is set without its private key; set server.tls.key_file too")
	f("server: {tls: {key_file: DIR/key.pem}}", "c.yaml:1: server.tls.key_file: is set without its certificate; set server.tls.cert_file too")
	f("server: {tls: {cert_file: /none.pem, key_file: DIR/key.pem}}", "c.yaml:1: server.tls.cert_file: cannot read /none.pem: no such file or directory; name a file that this user can read")
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: OTHER/key.pem}}",
		"c.yaml:1: server.tls.cert_file: is no certificate for server.tls.key_file: tls: private key does not match public key; name a PEM certificate and the PEM private key that belongs to it")
	f("server: {tls: {min_version: 1.1}}", `c.yaml:1: server.tls.min_version: "1.1" is unknown; did you mean 1.2? (known: 1.2, 1.3)`)
	f("server: {tls: {waiting: 0}}", "c.yaml:1: server.tls.waiting: 0 would let nobody in; set 1 or more, or remove the line for the default")
	f("server: {tls: {handshakes: 0}}", "c.yaml:1: server.tls.handshakes: 0 would let nobody in; set 1 or more, or remove the line for the default")
	f("server: {tls: {cert: x}}", "c.yaml:1: server.tls.cert: unknown key; did you mean server.tls.cert_file?")
}

func TestCertificateExpiryIsLogged(t *testing.T) {
	f := func(life time.Duration, want string) {
		t.Helper()
		var b bytes.Buffer
		cfg := makeCert(t, t.TempDir(), 1, life)
		if _, err := newCertificate("server.tls", &cfg, slog.New(slog.NewTextHandler(&b, nil))); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%v: logs %s", life, b.String())
		}
	}
	f(15*24*time.Hour, `level=INFO msg="certificate loaded"`)
	f(13*24*time.Hour, `level=WARN msg="the certificate expires soon`)
	f(-time.Hour, `level=WARN msg="the certificate has expired`)
}

// TestReloadCertificate: new connections see the new one, sessions of the old
// one can be resumed, and files that are no good change nothing.
func TestReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	files := makeCert(t, dir, 1, time.Hour)
	s := startServer(t, func(cfg *Config) { cfg.Server.TLS = files })
	cache := tls.NewLRUClientSessionCache(4)
	dial := func(cache tls.ClientSessionCache) tls.ConnectionState {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Listen().String(), &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The answer comes behind the ticket.
		if _, err := conn.Write([]byte("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState()
	}
	serial := func() int64 { return dial(nil).PeerCertificates[0].SerialNumber.Int64() }
	dial(cache)
	makeCert(t, dir, 2, time.Hour)
	if n := serial(); n != 1 {
		t.Errorf("certificate %d before the reload", n)
	}
	if err := s.ReloadCertificate(s.cfg); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after the reload", n)
	}
	if !dial(cache).DidResume {
		t.Error("a session of before is not resumed")
	}
	if err := os.WriteFile(files.KeyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadCertificate(s.cfg); err == nil {
		t.Error("a bad key is taken")
	}
	if err := s.ReloadCertificate(Default()); err == nil {
		t.Error("TLS can be taken away")
	}
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after a bad reload", n)
	}
	if code := s.get(t, "/metrics", "\ntapecast_tls_handshakes_total 5\n"); code != 200 {
		t.Errorf("/metrics: %d", code)
	}
	s.get(t, "/metrics", "\ntapecast_tls_resumed_total 1\n")
	s.get(t, "/metrics", "# TYPE tapecast_tls_certificate_expiry_seconds gauge\n")
}
