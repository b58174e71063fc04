package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
)

// Certificate says whose the certificate of a client is. Such a client needs no token: it says
// authenticate {"certificate": true}.
type Certificate struct {
	// User is the part of a certificate that has the user's id: cn (the subject's common name), or one
	// of its alternative names: dns, uri or email. Default "": certificates give no user.
	User string `koanf:"user"`
	// Match is a regular expression (RE2) that all of the part must match, such as
	// spiffe://example.com/desk/(.+). Its group is the id, or without one all of it. Of several
	// alternative names those that match count, and must give one id. Default "": any.
	Match string `koanf:"match"`
	// Claims are what rules such as allow call parts of a certificate, by the name of the claim: cn,
	// ou, o, dns, uri, email or serial (in hexadecimal). Default none.
	Claims map[string]string `koanf:"claims"`
}

// On reports whether certificates give users.
func (c *Certificate) On() bool { return c.User != "" }

// Pattern returns Match, for all of a part; nil: anything.
func (c *Certificate) Pattern() (*regexp.Regexp, error) {
	if c.Match == "" {
		return nil, nil
	}
	alone, err := regexp.Compile(c.Match) // by itself first, see Users
	if err != nil {
		return nil, err
	}
	if alone.NumSubexp() > 1 {
		return nil, errors.New("it has more than one group: write (?:…) for those that are not the user's id")
	}
	return regexp.Compile(`^(?:` + c.Match + `)$`)
}

const (
	// maxClientCAs is how many certificates client_ca_file may hold.
	maxClientCAs = 256
	// maxCANames is how long their names may be together, since each handshake sends them. crypto/tls
	// takes no handshake message over 64 KB.
	maxCANames = 32 << 10
)

// AsksClients reports whether clients are asked for certificates.
func (cfg *TLS) AsksClients() bool {
	return cfg.ClientAuth == "optional" || cfg.ClientAuth == "required"
}

// ClientCAs reads ClientCAFile.
func (cfg *TLS) ClientCAs() (list []*x509.Certificate, err error) {
	text, err := readFile(cfg.ClientCAFile)
	if err != nil {
		return nil, err
	}
	names := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s, where only certificates belong", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("its certificate %d is not well formed: %w", len(list)+1, err)
		}
		list = append(list, cert)
		names += 2 + len(cert.RawSubject)
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("it holds no certificate in PEM form")
	case len(list) > maxClientCAs || names > maxCANames:
		return nil, fmt.Errorf("it holds %d certificates, with names of %d bytes: %d and %d are the most",
			len(list), names, maxClientCAs, maxCANames)
	}
	return list, nil
}

// checkClientTLS checks what clients must show in a TLS handshake.
func (c *collector) checkClientTLS(cfg *Config) {
	const mode, file = "server.tls.client_auth", "server.tls.client_ca_file"
	t := &cfg.Server.TLS
	c.oneOf(mode, t.ClientAuth, "none", "optional", "required")
	switch asked := t.ClientAuth != "none"; {
	case c.has(mode):
	case asked && !cfg.TLS():
		c.add(mode, "is set, but the port speaks no TLS", "set server.tls.cert_file and server.tls.key_file too")
	case asked && t.ClientCAFile == "":
		c.add(mode, "is set without the certificates that those of clients must lead to", "set %s too", file)
	case !asked && t.ClientCAFile != "":
		c.add(file, "has no effect: "+mode+" is none", "set that to optional or required")
	}
	if t.ClientCAFile == "" || c.has(file) {
		return
	}
	if _, err := t.ClientCAs(); err != nil {
		if of, ok := errors.AsType[*fs.PathError](err); ok {
			err = of.Err // the file is named already
		}
		c.add(file, fmt.Sprintf("cannot use %s: %s", t.ClientCAFile, err),
			"name a file that this user can read, with certificates in PEM form")
	}
}

// checkCertificate checks whose the certificate of a client is.
func (c *collector) checkCertificate(cfg *Config) {
	const path = "auth.certificate"
	of := &cfg.Auth.Certificate
	if of.On() {
		c.oneOf(path+".user", of.User, "cn", "dns", "uri", "email")
	}
	if _, err := of.Pattern(); err != nil {
		c.add(path+".match", err.Error(), "write it in the syntax of RE2, such as spiffe://example.com/desk/(.+)")
	}
	for _, claim := range slices.Sorted(maps.Keys(of.Claims)) {
		c.oneOf(join(path+".claims", claim), of.Claims[claim], "cn", "ou", "o", "dns", "uri", "email", "serial")
	}
	for _, claim := range slices.Sorted(maps.Keys(cfg.Auth.RequiredClaims)) {
		if _, ok := of.Claims[claim]; of.On() && !ok {
			c.add("auth.required_claims", fmt.Sprintf("%q is not one of auth.certificate.claims, so that no "+
				"certificate would be accepted", claim),
				"name there the part of a certificate that has it, or remove auth.certificate.user")
		}
	}
	switch {
	case of.On() && cfg.Server.TLS.ClientAuth == "none":
		c.add(path+".user", "has no effect: server.tls.client_auth is none", "set that to optional or required")
	case !of.On() && of.Match != "":
		c.add(path+".match", "has no effect without "+path+".user", "set that to cn, dns, uri or email")
	case !of.On() && len(of.Claims) > 0:
		c.add(path+".claims", "has no effect without "+path+".user", "set that to cn, dns, uri or email")
	}
}
