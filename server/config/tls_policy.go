package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// The values of server.tls.policy.
const (
	policyDefault      = "default"
	policyIntermediate = "intermediate"
	policyModern       = "modern"
)

// Least returns the oldest version that is spoken.
func (cfg *PortTLS) Least() uint16 {
	if cfg.MinVersion == "1.3" || cfg.Policy == policyModern {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// Suites returns the cipher suites that are accepted for TLS 1.2. Nil: those that Go prefers.
func (cfg *PortTLS) Suites() (ids []uint16) {
	for _, s := range tls.CipherSuites() {
		if slices.Contains(cfg.CipherSuites, s.Name) || cfg.Policy == policyIntermediate && authenticates(s) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// authenticates reports whether a suite is one of TLS 1.2 whose encryption is authenticated (AEAD).
// All that Go holds to be secure have forward secrecy.
func authenticates(s *tls.CipherSuite) bool {
	return slices.Equal(s.SupportedVersions, []uint16{tls.VersionTLS12})
}

// ofTLS12 reports whether a suite can be chosen.
func ofTLS12(s *tls.CipherSuite) bool { return slices.Contains(s.SupportedVersions, tls.VersionTLS12) }

// checkCiphers checks the policy and the cipher suites of a section.
func (c *collector) checkCiphers(section string, t *PortTLS) {
	policy, suites, version := section+".policy", section+".cipher_suites", section+".min_version"
	c.oneOf(policy, t.Policy, policyDefault, policyIntermediate, policyModern)
	if t.Policy == policyModern && t.MinVersion == "1.2" && c.isSet(version) {
		c.add(version, "1.2 contradicts "+policy+" modern, which is TLS 1.3 only", "write 1.3, or remove the line")
	}
	switch {
	case len(t.CipherSuites) == 0:
		return
	case t.Policy != policyDefault:
		c.add(suites, fmt.Sprintf("is set, and so is %s (%s)", policy, c.source(policy).name), "keep one of the two")
	case t.Least() == tls.VersionTLS13:
		c.add(suites, "has no effect: the suites of TLS 1.3 cannot be chosen", "remove it, or set %s to 1.2", version)
	}
	for i, name := range t.CipherSuites {
		if fault, do := suiteFault(name); fault != "" {
			c.add(suites, fault, "%s", do)
		} else if slices.Index(t.CipherSuites, name) < i {
			c.add(suites, name+" is named twice", "remove one")
		}
	}
}

// suiteFault says why a cipher suite cannot be chosen, and what to do; "": it can.
func suiteFault(name string) (fault, do string) {
	var known []string
	for _, s := range tls.CipherSuites() {
		if ofTLS12(s) {
			known = append(known, s.Name)
		}
		switch {
		case s.Name == name && ofTLS12(s):
			return "", ""
		case s.Name == name:
			return name + " is one of TLS 1.3, which cannot be chosen and are always accepted", "remove it"
		}
	}
	for _, s := range tls.InsecureCipherSuites() {
		if s.Name == name {
			return name + " is not secure: " + weakness(name), "remove it"
		}
	}
	do = "known: " + strings.Join(known, ", ")
	if n := nearest(name, known); n != "" {
		do = fmt.Sprintf("did you mean %s? (%s)", n, do)
	}
	return fmt.Sprintf("%q is unknown", name), do
}

// weakness says what is wrong with a suite that Go calls insecure.
func weakness(name string) string {
	switch {
	case strings.Contains(name, "_RC4_"):
		return "RC4 is broken"
	case strings.Contains(name, "_3DES_"):
		return "the blocks of 3DES are too short"
	case strings.HasPrefix(name, "TLS_RSA_"):
		return "it has no forward secrecy"
	}
	return "CBC with SHA-256 tells an attacker by its timing"
}

// checkSuitesFit refuses cipher suites of which none can be used with the certificate.
func (c *collector) checkSuitesFit(section string, t *PortTLS, leaf *x509.Certificate) {
	suites := section + ".cipher_suites"
	if len(t.CipherSuites) == 0 || c.has(suites) {
		return
	}
	kind := "RSA"
	switch leaf.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey: // RFC 8422, section 5.10, for the latter
		kind = "ECDSA"
	}
	if !slices.ContainsFunc(t.CipherSuites, func(s string) bool { return strings.Contains(s, "_"+kind+"_") }) {
		c.add(suites, "none of them is for the certificate's key, so that no client with TLS 1.2 could connect",
			"add TLS_ECDHE_%s_WITH_AES_128_GCM_SHA256, or set %s.min_version to 1.3", kind, section)
	}
}
