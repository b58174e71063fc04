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

	"tapecast/server/config"
)

// makeCert writes a certificate that is good for so long, and its key.
func makeCert(t *testing.T, dir string, serial int64, life time.Duration) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.TLS{Handshakes: 16, Waiting: 16, PortTLS: config.PortTLS{CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile: filepath.Join(dir, "key.pem"), MinVersion: "1.2"}}
	for file, block := range map[string]*pem.Block{cfg.CertFile: {Type: "CERTIFICATE", Bytes: cert},
		cfg.KeyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
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
// one can be resumed, and bad files change nothing.
func TestReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	files := makeCert(t, dir, 1, time.Hour)
	s := startServer(t, func(cfg *config.Config) { cfg.Server.TLS = files })
	cache := tls.NewLRUClientSessionCache(4)
	dial := func(cache tls.ClientSessionCache) tls.ConnectionState {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Listen().String(),
			&tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
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
	if err := s.ReloadCertificate(config.Default()); err == nil {
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
