package config

import (
	"crypto/tls"
	"fmt"
)

// TLS reports whether the public port is wss.
func (cfg *Config) TLS() bool { return cfg.Server.TLS.CertFile != "" }

func (c *collector) checkTLS(t *TLS) {
	const section = "server.tls"
	if t.Handshakes < 1 {
		c.add(section+".handshakes", "0 would let nobody in", "set 1 or more, or remove the line for the default")
	}
	if t.Waiting < 1 {
		c.add(section+".waiting", "0 would let nobody in", "set 1 or more, or remove the line for the default")
	}
	c.checkPair(section, &t.PortTLS)
}

// checkPair checks the versions, the cipher suites and the two files of a section.
func (c *collector) checkPair(section string, t *PortTLS) {
	certKey, keyKey := section+".cert_file", section+".key_file"
	c.oneOf(section+".min_version", t.MinVersion, "1.2", "1.3")
	c.checkCiphers(section, t)
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
	pair, err := t.Pair()
	if err != nil {
		c.add(certKey, fmt.Sprintf("is not a certificate for %s: %s", keyKey, err),
			"name a PEM certificate and the PEM private key that belongs to it")
		return
	}
	c.checkSuitesFit(section, t, pair.Leaf)
}

// Pair reads both files.
func (cfg *PortTLS) Pair() (tls.Certificate, error) {
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
