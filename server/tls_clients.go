package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"

	"tapecast/server/config"
)

// loadClientCAs replaces the certificates that those of clients must lead to. A connection that was made
// with the old ones goes on. A session of TLS is resumed only if its certificate leads to the new ones.
// Without a file the old ones stay: to ask nobody takes a restart.
func (c *certificate) loadClientCAs(fresh *tls.Config, cfg *config.TLS) error {
	if clientAuths[c.clientAuth] == tls.NoClientCert || cfg.ClientCAFile == "" {
		return nil
	}
	list, err := cfg.ClientCAs()
	if err != nil {
		return fmt.Errorf("cannot use %s.client_ca_file: %w", c.key, err)
	}
	fresh.ClientCAs = x509.NewCertPool()
	for _, ca := range list {
		fresh.ClientCAs.AddCert(ca)
	}
	c.clientCAs.Store(&list)
	c.log.Info("certificates for clients loaded", "of", c.key, "mode", c.clientAuth, "certificates", len(list))
	return nil
}

// What a client may show. TLS keeps it for as long as the connection lasts.
const (
	maxShown      = 8        // certificates: its own and intermediate ones
	maxShownBytes = 16 << 10 // together
)

var errShownLong = errors.New("the client shows too many certificates, or too large ones")

// notTooLong refuses more than that.
func notTooLong(raw [][]byte, _ [][]*x509.Certificate) error {
	bytes := 0
	for _, c := range raw {
		bytes += len(c)
	}
	if len(raw) > maxShown || bytes > maxShownBytes {
		return errShownLong
	}
	return nil
}

// shownCertificate is how a handshake ended in which a client was asked for a certificate.
type shownCertificate uint8

const (
	certGood shownCertificate = iota
	certNone
	certMissing
	certExpired
	certUnknownCA
	certUsage
	certInvalid
	certTooLong
	certEnds // how many there are
)

// String returns the name of it in figures.
func (s shownCertificate) String() string {
	return [...]string{"good", "none", "missing", "expired", "unknown_ca", "usage", "invalid", "too_long"}[s]
}

// why says what is wrong with a certificate, in words for the operator.
func (s shownCertificate) why() string {
	return [...]string{"", "", "the client has shown none, and one is required", "it has expired, or is not valid yet",
		"it does not lead to a certificate of server.tls.client_ca_file", "it is not one for clients (extKeyUsage)",
		"it is not well formed, or its signature is wrong",
		fmt.Sprintf("more than %d certificates, or %d bytes, were shown", maxShown, maxShownBytes)}[s]
}

// shown counts the certificates that clients have shown. Any goroutine may use it.
type shown [certEnds]atomic.Uint64

// tlsEnded returns what the engine calls after each handshake; nil: clients are asked for nothing.
func (s *Server) tlsEnded() func(netip.AddrPort, *x509.Certificate, error) {
	if s.certificate == nil || !s.cfg.Server.TLS.AsksClients() {
		return nil
	}
	return func(from netip.AddrPort, cert *x509.Certificate, err error) {
		how, ok := endOf(cert, err)
		if !ok {
			return
		}
		if s.shown[how].Add(1); err == nil {
			return
		}
		args := []any{"remote", from, "why", how.why()}
		if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(bad.UnverifiedCertificates) > 0 {
			c := bad.UnverifiedCertificates[0]
			args = append(args, "subject", atMost(c.Subject.String()), "issuer", atMost(c.Issuer.String()))
		}
		s.log.Warn("a client's certificate is refused", args...)
		s.security.Note("certificate refused", from.Addr(), slog.Any("remote", from), slog.String("why", how.why()))
	}
}

// atMost shortens what a stranger has chosen.
func atMost(text string) string { return text[:min(len(text), 200)] }

// endOf says how a handshake ended. ok is false if it failed for another reason than a certificate.
func endOf(cert *x509.Certificate, err error) (how shownCertificate, ok bool) {
	switch {
	case err == nil && cert != nil:
		return certGood, true
	case err == nil:
		return certNone, true
	}
	if errors.Is(err, errShownLong) {
		return certTooLong, true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		// crypto/tls has no types for these.
		text := err.Error()
		switch {
		case strings.Contains(text, "client didn't provide a certificate"):
			return certMissing, true
		case strings.Contains(text, "client certificate"), strings.Contains(text, "client sent certificate"):
			return certInvalid, true
		}
		return 0, false
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return certUnknownCA, true
	}
	switch bad, _ := errors.AsType[x509.CertificateInvalidError](err); {
	case bad.Cert != nil && bad.Reason == x509.Expired:
		return certExpired, true
	case bad.Cert != nil && bad.Reason == x509.IncompatibleUsage:
		return certUsage, true
	}
	return certInvalid, true
}

func (s *Server) writeShown(m metricWriter) {
	if !s.cfg.Server.TLS.AsksClients() {
		return
	}
	m.family("tapecast_tls_client_certificates_total")
	for how := range certEnds {
		m.labelled("tapecast_tls_client_certificates_total", "outcome", how.String(), float64(s.shown[how].Load()))
	}
}
