package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// expirySoon is how long before its end a certificate is warned of: what renews
// it by itself does so earlier.
const expirySoon = 14 * 24 * time.Hour

// tlsVersions are the values of server.tls.min_version.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// certificate is what a port shows, and can be replaced while it runs. Any goroutine
// may use it.
type certificate struct {
	log  *slog.Logger
	key  string      // section of the configuration
	base *tls.Config // one for all connections: it holds the keys of session tickets
	pair atomic.Pointer[tls.Certificate]
}

// newCertificate reads what the configuration names; nil: it names none.
func newCertificate(key string, cfg *TLSConfig, log *slog.Logger) (*certificate, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	c := &certificate{log: log, key: key}
	c.base = &tls.Config{
		MinVersion:     tlsVersions[cfg.MinVersion],
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
	return c, c.load(cfg)
}

// load replaces the certificate, unless there is something wrong with the files.
func (c *certificate) load(cfg *TLSConfig) error {
	pair, err := cfg.pair()
	if err != nil {
		return fmt.Errorf("cannot take the certificate of %s: %w", c.key, err)
	}
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

// pair reads both files.
func (cfg *TLSConfig) pair() (tls.Certificate, error) {
	cert, err := readFile(cfg.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(cfg.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// ReloadCertificate takes the certificate that fresh, which Load has checked,
// names. After an error the old one stays. Sessions of before can still be
// resumed. Whether there is TLS at all cannot be changed while the server runs.
func (s *Server) ReloadCertificate(fresh *Config) error {
	return s.certificate.reload("server.tls", &fresh.Server.TLS)
}

// ReloadAdmin takes the certificate and the token of the internal port that fresh,
// which Load has checked, names. After an error the old ones stay. Whether there are
// any cannot be changed while the server runs.
func (s *Server) ReloadAdmin(fresh *Config) error {
	if (s.gate.token.Load() != nil) != (fresh.Admin.TokenFile != "") {
		return errors.New("admin.token_file cannot be added or taken away while the gateway runs: restart it")
	}
	return errors.Join(s.adminCertificate.reload("admin.tls", fresh.Admin.TLS.tls()), s.gate.load(&fresh.Admin))
}

// reload is load for a port that may have no TLS.
func (c *certificate) reload(key string, cfg *TLSConfig) error {
	if (c != nil) != (cfg.CertFile != "") {
		return fmt.Errorf("%s cannot be added or taken away while the gateway runs: restart it", key)
	}
	if c == nil {
		return nil
	}
	return c.load(cfg)
}

// tls is the section as that of the public port is.
func (cfg *AdminTLSConfig) tls() *TLSConfig {
	return &TLSConfig{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, MinVersion: cfg.MinVersion}
}

// TLS says whether the public port is wss.
func (cfg *Config) TLS() bool { return cfg.Server.TLS.CertFile != "" }

func (c *collector) checkTLS(t *TLSConfig) {
	const section = "server.tls"
	if t.Handshakes < 1 {
		c.add(section+".handshakes", "0 would let nobody in", "set 1 or more, or remove the line for the default")
	}
	if t.Waiting < 1 {
		c.add(section+".waiting", "0 would let nobody in", "set 1 or more, or remove the line for the default")
	}
	c.checkPair(section, t)
}

// checkPair checks the version and the two files of a section.
func (c *collector) checkPair(section string, t *TLSConfig) {
	certKey, keyKey := section+".cert_file", section+".key_file"
	c.oneOf(section+".min_version", t.MinVersion, "1.2", "1.3")
	switch {
	case t.CertFile == "" && t.KeyFile == "":
		return
	case t.KeyFile == "":
		c.add(certKey, "is set without its private key", "set %s too", keyKey)
		return
	case t.CertFile == "":
		c.add(keyKey, "is set without its certificate", "set %s too", certKey)
		return
	}
	readable := true
	for _, f := range []struct{ key, file string }{{certKey, t.CertFile}, {keyKey, t.KeyFile}} {
		if _, err := readFile(f.file); err != nil {
			readable = false
			c.add(f.key, fmt.Sprintf("cannot read %s: %s", f.file, reason(err)), "name a file that this user can read")
		}
	}
	if !readable {
		return
	}
	if _, err := t.pair(); err != nil {
		c.add(certKey, fmt.Sprintf("is no certificate for %s: %s", keyKey, err), "name a PEM certificate and the PEM private key that belongs to it")
	}
}
