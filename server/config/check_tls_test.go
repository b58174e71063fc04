package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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

// TestCipherFaults: no cipher suite is unknown, insecure or without effect.
func TestCipherFaults(t *testing.T) {
	dir := t.TempDir()
	certIn(t, dir)
	f := func(keys string, want ...string) {
		t.Helper()
		faultsOf(t, "server: {tls: {cert_file: "+dir+"/cert.pem, key_file: "+dir+"/key.pem, "+keys+"}}", want...)
	}
	const good = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
	const at, none = "c.yaml:1: server.tls.cipher_suites: ", "; remove it"
	f("policy: modern")
	f("policy: intermediate")
	f("cipher_suites: [" + good + ", TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]")
	f("policy: modrn",
		`c.yaml:1: server.tls.policy: "modrn" is unknown; did you mean modern? (known: default, intermediate, modern)`)
	f("policy: modern, min_version: 1.2", "c.yaml:1: server.tls.min_version: 1.2 contradicts "+
		"server.tls.policy modern, which is TLS 1.3 only; write 1.3, or remove the line")
	f("policy: intermediate, cipher_suites: ["+good+"]",
		at+"is set, and so is server.tls.policy (c.yaml:1); keep one of the two")
	f("min_version: 1.3, cipher_suites: ["+good+"]",
		at+"has no effect: the suites of TLS 1.3 cannot be chosen; remove it, or set server.tls.min_version to 1.2")
	f("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", at+"TLS_RSA_WITH_RC4_128_SHA is not secure: RC4 is broken"+none)
	f("cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]",
		at+"TLS_RSA_WITH_AES_128_GCM_SHA256 is not secure: it has no forward secrecy"+none)
	f("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256]", at+"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 is not "+
		"secure: CBC with SHA-256 tells an attacker by its timing"+none)
	f("cipher_suites: ["+good+", TLS_AES_128_GCM_SHA256]",
		at+"TLS_AES_128_GCM_SHA256 is one of TLS 1.3, which cannot be chosen and are always accepted"+none)
	f("cipher_suites: ["+good+", "+good+"]", at+good+" is named twice; remove one")
	f("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", at+"none of them is for the certificate's key, "+
		"so that no client with TLS 1.2 could connect; add "+good+", or set server.tls.min_version to 1.3")
	_, err := load(t, "server: {tls: {cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA265]}}")
	if want := "did you mean " + good + "? (known: "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	suites := func(keys string) int {
		t.Helper()
		cfg := mustLoad(t, "admin: {tls: {"+keys+"}}")
		return len(cfg.Admin.TLS.Suites())
	}
	if a, b, c := suites(""), suites("policy: intermediate"), suites("cipher_suites: ["+good+"]"); a != 0 || b != 6 ||
		c != 1 {
		t.Errorf("%d, %d and %d cipher suites", a, b, c)
	}
	if v := mustLoad(t, "admin: {tls: {policy: modern}}").Admin.TLS.Least(); v != tls.VersionTLS13 {
		t.Errorf("modern begins with version %x", v)
	}
}

// oddFiles writes files that are no list of certificates beside a good one and its key.
func oddFiles(t *testing.T, dir string) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write("both.pem", read("cert.pem")+read("key.pem"))
	write("many.pem", strings.Repeat(read("cert.pem"), maxClientCAs+1))
	write("empty.pem", "")
	write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
}

// TestClientCertificateFaults: what asks clients for certificates, and says whose they are.
func TestClientCertificateFaults(t *testing.T) {
	dir := t.TempDir()
	certIn(t, dir)
	oddFiles(t, dir)
	f := func(keys, auth string, want ...string) {
		t.Helper()
		faultsOf(t, "auth: {"+auth+"}\nserver: {tls: {"+strings.ReplaceAll(keys, "DIR", dir)+"}}", want...)
	}
	const pair = "cert_file: DIR/cert.pem, key_file: DIR/key.pem"
	const asks = pair + ", client_auth: optional, client_ca_file: DIR/cert.pem"
	f(asks, "")
	f(asks, "certificate: {user: uri, match: 'spiffe://a/(.+)', claims: {role: ou, serial: serial}}")
	f("client_auth: required, client_ca_file: "+dir+"/cert.pem", "", "c.yaml:2: server.tls.client_auth: is set, but "+
		"the port speaks no TLS; set server.tls.cert_file and server.tls.key_file too")
	f(pair+", client_auth: optional", "", "c.yaml:2: server.tls.client_auth: is set without the certificates that "+
		"those of clients must lead to; set server.tls.client_ca_file too")
	f(pair+", client_ca_file: DIR/cert.pem", "", "c.yaml:2: server.tls.client_ca_file: has no effect: "+
		"server.tls.client_auth is none; set that to optional or required")
	f(pair+", client_auth: yes", "",
		`c.yaml:2: server.tls.client_auth: "yes" is unknown; use one of none, optional, required`)
	file := func(name, why string) {
		t.Helper()
		f(pair+", client_auth: optional, client_ca_file: DIR/"+name, "", "c.yaml:2: server.tls.client_ca_file: "+
			"cannot use "+dir+"/"+name+": "+why+"; name a file that this user can read, with certificates in PEM form")
	}
	file("none.pem", "no such file or directory")
	file("empty.pem", "it holds no certificate in PEM form")
	file("both.pem", "it holds a PRIVATE KEY, where only certificates belong")
	file("bad.pem", "its certificate 1 is not well formed: x509: malformed certificate")
	file("many.pem", "it holds 257 certificates, with names of 1028 bytes: 256 and 32768 are the most")
	f(pair, "certificate: {user: cn}", "c.yaml:1: auth.certificate.user: has no effect: server.tls.client_auth is "+
		"none; set that to optional or required")
	f(asks, "certificate: {user: sn}",
		`c.yaml:1: auth.certificate.user: "sn" is unknown; did you mean cn? (known: cn, dns, uri, email)`)
	f(asks, "certificate: {match: x}", "c.yaml:1: auth.certificate.match: has no effect without "+
		"auth.certificate.user; set that to cn, dns, uri or email")
	f(asks, "certificate: {claims: {a: ou}}", "c.yaml:1: auth.certificate.claims: has no effect without "+
		"auth.certificate.user; set that to cn, dns, uri or email")
	f(asks, "certificate: {user: cn, match: '(a)(b)'}", "c.yaml:1: auth.certificate.match: it has more than one "+
		"group: write (?:…) for those that are not the user's id; write it in the syntax of RE2, such as "+
		"spiffe://example.com/desk/(.+)")
	f(asks, "certificate: {user: cn, claims: {a: x}}", `c.yaml:1: auth.certificate.claims.a: "x" is unknown; `+
		"use one of cn, ou, o, dns, uri, email, serial")
	f(asks, "required_claims: {a: x, b: ''}, certificate: {user: cn, claims: {a: ou, b: o}}")
	f(asks, "required_claims: {a: x, b: ''}, certificate: {user: cn, claims: {a: ou}}", `c.yaml:1: `+
		`auth.required_claims: "b" is not one of auth.certificate.claims, so that no certificate would be accepted; `+
		"name there the part of a certificate that has it, or remove auth.certificate.user")
	// Certificates alone are enough where there are brokers.
	cfg := mustLoad(t, "kafka: {brokers: ['a:1']}\ningest: {routes: [{topic: t, rooms: [prices]}]}\n"+
		"auth: {certificate: {user: cn}}\nserver: {tls: {"+
		strings.ReplaceAll(asks, "DIR", dir)+"}}")
	if !cfg.Auth.Certificate.On() || !cfg.Server.TLS.AsksClients() ||
		!strings.HasSuffix(cfg.Summary(), "certificates") {
		t.Errorf("%+v, %s", cfg.Auth.Certificate, cfg.Summary())
	}
}
