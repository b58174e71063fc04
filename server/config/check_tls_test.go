package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certIn writes a certificate and its key into a directory.
func certIn(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert},
		"key.pem": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSFaults(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	certIn(t, dir)
	certIn(t, other)
	f := func(text string, want ...string) {
		t.Helper()
		faultsOf(t, strings.NewReplacer("DIR", dir, "OTHER", other).Replace(text), want...)
	}
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem}}")
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem, min_version: 1.3, handshakes: 5}}")
	f("server: {tls: {cert_file: DIR/cert.pem}}",
		"c.yaml:1: server.tls.cert_file: is set without its private key; set server.tls.key_file too")
	f("server: {tls: {key_file: DIR/key.pem}}",
		"c.yaml:1: server.tls.key_file: is set without its certificate; set server.tls.cert_file too")
	f("server: {tls: {cert_file: /none.pem, key_file: DIR/key.pem}}",
		"c.yaml:1: server.tls.cert_file: cannot read /none.pem: no such file or directory; name a file that this "+
			"user can read")
	f("server: {tls: {cert_file: DIR/cert.pem, key_file: OTHER/key.pem}}",
		"c.yaml:1: server.tls.cert_file: is not a certificate for server.tls.key_file: tls: private key does not "+
			"match public key; name a PEM certificate and the PEM private key that belongs to it")
	f("server: {tls: {min_version: 1.1}}",
		`c.yaml:1: server.tls.min_version: "1.1" is unknown; did you mean 1.2? (known: 1.2, 1.3)`)
	f("server: {tls: {waiting: 0}}",
		"c.yaml:1: server.tls.waiting: 0 would let nobody in; set 1 or more, or remove the line for the default")
	f("server: {tls: {handshakes: 0}}",
		"c.yaml:1: server.tls.handshakes: 0 would let nobody in; set 1 or more, or remove the line for the default")
	f("server: {tls: {cert: x}}", "c.yaml:1: server.tls.cert: unknown key; did you mean server.tls.cert_file?")
}
