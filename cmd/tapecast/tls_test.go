package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// makeCert writes a self-signed certificate and its key into dir.
func makeCert(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return put("cert.pem", "CERTIFICATE", cert), put("key.pem", "PRIVATE KEY", der)
}

// TestTLS: wss works with a gateway's own certificate, and SIGHUP changes what new connections
// see.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := makeCert(t, dir, 1)
	p := demo(t, fmt.Sprintf("server: {drain: 100ms, tls: {cert_file: %q, key_file: %q}}\nauth: {secret: %s}\nlog: "+
		"{format: json}\n", certFile, keyFile, key))
	p.says(&p.stdout, "Ctrl-C stops it.")
	p.says(&p.stderr, "the certificate expires soon")
	m := regexp.MustCompile(`watch --url (wss://(\S+)/ws) --token (\S+)`).FindStringSubmatch(p.stdout.String())
	if m == nil {
		t.Fatalf("prints %s", p.stdout.String())
	}
	watch := func(code int, args ...string) *process {
		t.Helper()
		w := begin(t, nil, append([]string{"watch", "--url", m[1], "--token", m[3], "--count", "3"}, args...)...)
		w.ends(code)
		return w
	}
	watch(0, "--ca", certFile)
	watch(0, "--insecure")
	w := watch(1)
	w.says(&w.stderr, "certificate")
	w = watch(1, "--ca", keyFile)
	w.says(&w.stderr, "holds no PEM certificate")
	watch(1, "--ca", "/nowhere.pem")

	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", m[2], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	makeCert(t, dir, 2)
	p.signals <- syscall.SIGHUP
	testwait.Until(t, testwait.Patience, "the new certificate", func() bool { return serial() == 2 })
	if err := os.WriteFile(keyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signals <- syscall.SIGHUP
	p.says(&p.stderr, "cannot reload")
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after a bad reload", n)
	}
	p.signals <- syscall.SIGTERM
	p.ends(0)
}
