package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"tapecast/loop"
	"tapecast/server/config"
)

// expirySoon is how long before a certificate ends a warning is logged. Renewal comes earlier.
const expirySoon = 14 * 24 * time.Hour

// clientAuths are the values of server.tls.client_auth that ask clients for certificates.
var clientAuths = map[string]tls.ClientAuthType{
	"optional": tls.VerifyClientCertIfGiven, "required": tls.RequireAndVerifyClientCert,
}

// certificate is that of a port, and what else TLS goes by there. It can be replaced while the port is open.
// Any goroutine may use it.
type certificate struct {
	log  *slog.Logger
	key  string      // section of the configuration
	base *tls.Config // one for all connections: it holds the keys of session tickets

	current    atomic.Pointer[tls.Config] // what new connections go by: nil until the first load
	pair       atomic.Pointer[tls.Certificate]
	clientAuth string                              // of the configuration
	clientCAs  atomic.Pointer[[]*x509.Certificate] // what clients' must lead to; nil: they are asked for none
}

// newCertificate reads the certificate that the configuration names; nil: it names none.
func newCertificate(key string, cfg *config.TLS, log *slog.Logger) (*certificate, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	c := &certificate{log: log, key: key, clientAuth: cfg.ClientAuth}
	c.base = &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
	c.current.Store(&tls.Config{ClientAuth: clientAuths[cfg.ClientAuth], VerifyPeerCertificate: notTooLong})
	return c, c.load(cfg)
}

// load takes the certificate, the versions and cipher suites for it, and the certificates that those of
// clients must lead to. What has a fault stays as it was.
func (c *certificate) load(cfg *config.TLS) error {
	fresh := c.current.Load().Clone()
	err := c.loadPair(fresh, cfg)
	err = errors.Join(err, c.loadClientCAs(fresh, cfg))
	loop.TuneTLS(fresh)
	c.current.Store(fresh)
	return err
}

func (c *certificate) loadPair(fresh *tls.Config, cfg *config.TLS) error {
	pair, err := cfg.Pair()
	if err != nil {
		return fmt.Errorf("cannot use the certificate of %s: %w", c.key, err)
	}
	fresh.Certificates = []tls.Certificate{pair}
	fresh.MinVersion, fresh.CipherSuites = cfg.Least(), cfg.Suites()
	c.pair.Store(&pair)
	left := time.Until(pair.Leaf.NotAfter)
	args := []any{"of", c.key, "names", pair.Leaf.DNSNames,
		"expires", pair.Leaf.NotAfter.UTC().Format(time.RFC3339), "days", int(left / (24 * time.Hour))}
	switch {
	case left <= 0:
		c.log.Warn("the certificate has expired: clients will refuse it; renew it, then SIGHUP", args...)
	case left < expirySoon:
		c.log.Warn("the certificate expires soon; renew it, then SIGHUP", args...)
	default:
		c.log.Info("certificate loaded", args...)
	}
	return nil
}

func (c *certificate) tlsConfig() *tls.Config {
	if c == nil {
		return nil
	}
	return c.base
}

func (c *certificate) expires() time.Time { return c.pair.Load().Leaf.NotAfter }

// ReloadCertificate loads the certificate of a configuration that Load has checked, its versions and cipher
// suites, and the certificates for clients. What has a fault stays as it was. Earlier sessions can be
// resumed. TLS cannot be turned on or off, and client_auth takes a restart.
func (s *Server) ReloadCertificate(fresh *config.Config) error {
	return s.certificate.reload("server.tls", &fresh.Server.TLS)
}

// ReloadKeys takes the keys for tokens that fresh names, which Load has checked, and what else must hold of
// tokens (auth.Authenticator.Reload). What has a fault stays as it was. Clients that are in stay in.
func (s *Server) ReloadKeys(fresh *config.Config) error {
	if fresh.Demo() && !fresh.HasKey() {
		return nil // the demo's own, which never changes
	}
	err := s.auth.Reload(&fresh.Auth)
	if err == nil {
		s.log.Info("keys reloaded", "keys", s.auth.Keys())
	}
	return err
}

// ReloadTiers takes limits.tiers, and the limits of accounts without a tier, from a configuration
// that Load has checked. Clients that are connected have them from their next request on, and
// limits.bytes_per_second at once. It waits for that, roundWait at most.
func (s *Server) ReloadTiers(fresh *config.Config) error {
	if err := s.setLimits(&fresh.Limits); err != nil {
		return err
	}
	s.measure()
	if n := len(fresh.Limits.Tiers); n > 0 {
		s.log.Info("tiers reloaded", "tiers", n)
	}
	return nil
}

// measure has all connections take their limits.bytes_per_second again.
func (s *Server) measure() {
	e := s.engine.Load()
	if e == nil {
		return // nobody is connected
	}
	if late := e.Measure(roundWait); len(late) > 0 {
		s.log.Warn("some loops have not taken the bytes per second of all connections yet; they go on", "loops", late)
	}
}

// ReloadAdmin loads the internal port's certificate and token of a configuration that Load has
// checked. After an error the old ones stay. Neither can be added or removed.
func (s *Server) ReloadAdmin(fresh *config.Config) error {
	if s.gate.HasToken() != (fresh.Admin.TokenFile != "") {
		return errors.New("admin.token_file cannot be added or removed while the gateway runs: restart it")
	}
	port := &config.TLS{PortTLS: fresh.Admin.TLS}
	return errors.Join(s.adminCertificate.reload("admin.tls", port), s.gate.Load(&fresh.Admin))
}

// reload is load for a port that may have no TLS.
func (c *certificate) reload(key string, cfg *config.TLS) error {
	if (c != nil) != (cfg.CertFile != "") {
		return fmt.Errorf("%s cannot be added or removed while the gateway runs: restart it", key)
	}
	if c == nil {
		return nil
	}
	return c.load(cfg)
}
