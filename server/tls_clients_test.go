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
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// authority makes certificates for clients, and is in a file.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T, name string, life time.Duration) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	made := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(life)})
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	a.write(a.file)
	return a
}

func (a *authority) write(file string) {
	a.t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// make signs a certificate, by itself if the authority has none.
func (a *authority) make(c *x509.Certificate) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-48*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client makes a client's certificate.
func (a *authority) client(cn string, life time.Duration, usage x509.ExtKeyUsage) *tls.Certificate {
	return a.make(&x509.Certificate{Subject: pkix.Name{CommonName: cn}, NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}})
}

// said shakes hands, asks for the upgrade, and returns what the gateway says first, or the alert.
func said(t *testing.T, s *Server, with *tls.Config, cert *tls.Certificate) (text string, resumed bool) {
	t.Helper()
	cfg := with.Clone()
	cfg.InsecureSkipVerify = true
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return new(tls.Certificate), nil
		}
		return cert, nil
	}
	conn, err := tls.Dial("tcp", s.Listen().String(), cfg)
	if err == nil {
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	}
	var b []byte
	for err == nil && !bytes.Contains(b, []byte("}}")) {
		var n int
		more := make([]byte, 4096)
		n, err = conn.Read(more)
		b = append(b, more[:n]...)
	}
	if err != nil {
		return err.Error(), false
	}
	_, text, _ = strings.Cut(string(b), "\r\n\r\n")
	return text, conn.ConnectionState().DidResume
}

func (s *Server) shownAs(t *testing.T, how string) (n int) {
	t.Helper()
	_, _, text := s.ask(t, "GET", "/metrics", "")
	_, line, _ := strings.Cut(text, fmt.Sprintf("\ntapecast_tls_client_certificates_total{outcome=%q} ", how))
	fmt.Sscan(line, &n)
	return n
}

// TestClientCertificates: what each certificate of a client leads to, in TLS 1.2 and 1.3.
func TestClientCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ca", time.Hour), newAuthority(t, "other", time.Hour)
	good := ca.client("42", time.Hour, x509.ExtKeyUsageClientAuth)
	const hello = `"method":"auth_required"`
	for _, mode := range []string{"optional", "required"} {
		s := startServer(t, func(cfg *config.Config) {
			cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour)
			cfg.Server.TLS.ClientAuth, cfg.Server.TLS.ClientCAFile = mode, ca.file
			cfg.Auth.Certificate.User = "cn"
		})
		f := func(cert *tls.Certificate, outcome, want string) {
			t.Helper()
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				before := s.shownAs(t, outcome)
				text, _ := said(t, s, &tls.Config{MinVersion: version, MaxVersion: version}, cert)
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s, TLS %x: %s, want %s", mode, outcome, version, text, want)
				}
				// The alert goes first.
				eventually(t, "one more "+outcome, func() bool { return s.shownAs(t, outcome) == before+1 })
			}
		}
		f(good, "good", `"certificate":true`)
		if mode == "optional" {
			f(nil, "none", hello)
		} else {
			f(nil, "missing", "remote error: tls: ")
		}
		f(ca.client("42", -time.Hour, x509.ExtKeyUsageClientAuth), "expired", "expired certificate")
		f(other.client("42", time.Hour, x509.ExtKeyUsageClientAuth), "unknown_ca", "unknown certificate authority")
		f(ca.client("42", time.Hour, x509.ExtKeyUsageServerAuth), "usage", "bad certificate")
		stolen := &tls.Certificate{Certificate: good.Certificate, PrivateKey: other.key}
		f(stolen, "invalid", "remote error: tls: ")
	}
}

// TestReloadClientCAs: SIGHUP takes other certificates for clients, also for sessions of before.
func TestReloadClientCAs(t *testing.T) {
	ca, other := newAuthority(t, "ca", time.Hour), newAuthority(t, "other", time.Hour)
	file := filepath.Join(t.TempDir(), "clients.pem")
	ca.write(file)
	s := startServer(t, func(cfg *config.Config) {
		cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour)
		cfg.Server.TLS.ClientAuth, cfg.Server.TLS.ClientCAFile = "required", file
	})
	of := ca.client("a", time.Hour, x509.ExtKeyUsageClientAuth)
	others := other.client("b", time.Hour, x509.ExtKeyUsageClientAuth)
	cache := tls.NewLRUClientSessionCache(4)
	f := func(cert *tls.Certificate, cfg *tls.Config, want string, resumes bool) {
		t.Helper()
		if text, resumed := said(t, s, cfg, cert); !strings.Contains(text, want) || resumed != resumes {
			t.Errorf("%s, resumed %v, want %s, %v", text, resumed, want, resumes)
		}
	}
	const in, unknown = `"auth_required"`, "unknown certificate authority"
	kept := &tls.Config{ClientSessionCache: cache}
	f(of, kept, in, false)
	f(of, kept, in, true)
	f(others, &tls.Config{}, unknown, false)
	other.write(file)
	if err := s.ReloadCertificate(s.cfg); err != nil {
		t.Fatal(err)
	}
	f(others, &tls.Config{}, in, false)
	f(of, kept, unknown, false)
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadCertificate(s.cfg); err == nil || !strings.Contains(err.Error(), "server.tls.client_ca_file") {
		t.Errorf("a bad file is taken: %v", err)
	}
	f(others, &tls.Config{}, in, false)
	if err := os.WriteFile(s.cfg.Server.TLS.KeyFile, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca.write(file) // it is taken, whatever else has a fault
	fresh := *s.cfg
	if err := s.ReloadCertificate(&fresh); err == nil || strings.Contains(err.Error(), "client_ca_file") {
		t.Errorf("a bad key is taken: %v", err)
	}
	f(of, &tls.Config{}, in, false)
	f(others, &tls.Config{}, unknown, false)
	for _, mode := range []string{"optional", "none"} { // which takes a restart
		fresh.Server.TLS = makeCert(t, filepath.Dir(s.cfg.Server.TLS.KeyFile), 2, time.Hour)
		if fresh.Server.TLS.ClientAuth = mode; mode != "none" {
			fresh.Server.TLS.ClientCAFile = file
			other.write(file)
		}
		if err := s.ReloadCertificate(&fresh); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if keys := s.NeedRestart(&fresh); !slices.Equal(keys, []string{"server.tls.client_auth"}) {
			t.Errorf("%s: %q take a restart", mode, keys)
		}
		f(others, &tls.Config{}, in, false)
		f(nil, &tls.Config{}, "remote error: tls: ", false)
	}
}

// TestCipherPolicy: what a policy refuses is refused by an alert, and the rest is as it was.
func TestCipherPolicy(t *testing.T) {
	f := func(change func(*config.TLS), client *tls.Config, ok bool) {
		t.Helper()
		s := startServer(t, func(cfg *config.Config) {
			cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour)
			change(&cfg.Server.TLS)
		})
		if text, _ := said(t, s, client, nil); ok != strings.Contains(text, `"auth_required"`) {
			t.Errorf("%+v: %s, want %v", s.cfg.Server.TLS, text, ok)
		}
	}
	only12 := func(suite uint16) *tls.Config {
		return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
	}
	gcm, cbc := only12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), only12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)
	none := func(*config.TLS) {}
	f(none, gcm, true)
	f(none, cbc, true)
	f(func(c *config.TLS) { c.Policy = "intermediate" }, gcm, true)
	f(func(c *config.TLS) { c.Policy = "intermediate" }, cbc, false)
	f(func(c *config.TLS) { c.Policy = "modern" }, gcm, false)
	f(func(c *config.TLS) { c.Policy = "modern" }, &tls.Config{}, true)
	f(func(c *config.TLS) { c.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"} }, cbc, true)
	f(func(c *config.TLS) { c.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"} }, gcm, false)
}

// TestReloadCiphers: SIGHUP takes versions and cipher suites with the certificate that they are for.
func TestReloadCiphers(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(cfg *config.Config) { cfg.Server.TLS = makeCert(t, dir, 1, time.Hour) })
	cbc := &tls.Config{MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}
	f := func(change func(*config.TLS), client *tls.Config, ok bool) {
		t.Helper()
		fresh := *s.cfg
		change(&fresh.Server.TLS)
		if err := s.ReloadCertificate(&fresh); err != nil || len(s.NeedRestart(&fresh)) > 0 {
			t.Errorf("%v; %q take a restart", err, s.NeedRestart(&fresh))
		}
		if text, _ := said(t, s, client, nil); ok != strings.Contains(text, `"auth_required"`) {
			t.Errorf("%s, want %v", text, ok)
		}
	}
	none := func(*config.TLS) {}
	f(none, cbc, true)
	f(func(c *config.TLS) { c.Policy = "intermediate" }, cbc, false)
	f(none, cbc, true)
	f(func(c *config.TLS) { c.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"} }, cbc, false)
	f(func(c *config.TLS) { c.MinVersion = "1.3" }, cbc, false)
	f(func(c *config.TLS) { c.MinVersion = "1.3" }, &tls.Config{}, true)
}

// TestShownLong: a client that shows more certificates than it needs, which would be kept, is refused.
func TestShownLong(t *testing.T) {
	ca := newAuthority(t, "ca", time.Hour)
	s := startServer(t, func(cfg *config.Config) {
		cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour)
		cfg.Server.TLS.ClientAuth, cfg.Server.TLS.ClientCAFile = "optional", ca.file
	})
	f := func(more int, size int, ok bool) {
		t.Helper()
		cert := *ca.client("42", time.Hour, x509.ExtKeyUsageClientAuth)
		for range more {
			c := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", size)},
				NotAfter: time.Now().Add(time.Hour)})
			cert.Certificate = append(cert.Certificate, c.Certificate[0])
		}
		before := s.shownAs(t, "too_long")
		text, _ := said(t, s, &tls.Config{}, &cert)
		if ok != strings.Contains(text, `"auth_required"`) {
			t.Errorf("%d more of %d bytes: %s", more, size, text)
		}
		if ok && s.shownAs(t, "too_long") != before {
			t.Errorf("%d more of %d bytes are counted", more, size)
		} else if !ok {
			eventually(t, "it is counted", func() bool { return s.shownAs(t, "too_long") > before })
		}
	}
	f(0, 0, true)
	f(maxShown-1, 10, true)
	f(maxShown, 10, false)
	f(1, maxShownBytes, false)
}

// TestEndOf: failures that are not about a certificate count as none.
func TestEndOf(t *testing.T) {
	f := func(err error, how shownCertificate, ok bool) {
		t.Helper()
		if got, is := endOf(nil, err); got != how && ok || is != ok {
			t.Errorf("%v: %v, %v", err, got, is)
		}
	}
	f(nil, certNone, true)
	f(io.ErrUnexpectedEOF, 0, false)
	f(errors.New("remote error: tls: bad certificate"), 0, false)
	f(&tls.CertificateVerificationError{Err: x509.UnhandledCriticalExtension{}}, certInvalid, true)
	for how := certMissing; how < certEnds; how++ {
		if how.why() == "" || how.String() == "" {
			t.Errorf("%d has no words", how)
		}
	}
}
