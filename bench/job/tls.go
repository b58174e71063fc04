package job

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
)

// Endpoint is where clients connect, and from where.
type Endpoint struct {
	Addr    string   `json:"addr"`              // IP and port
	Host    string   `json:"host"`              // for the Host header
	Path    string   `json:"path"`              // with the query
	Sources []string `json:"sources,omitempty"` // addresses of this machine, in turn; nil: the kernel's choice
	TLS     bool     `json:"tls"`
	CA      string   `json:"ca,omitempty"` // file of certificates to trust; "": the system's
}

// TLSConfig returns how clients speak TLS, nil if they don't. Every handshake is a full one.
func (e *Endpoint) TLSConfig() (*tls.Config, error) {
	if !e.TLS {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(e.Host)
	if err != nil {
		host = e.Host
	}
	cfg := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
	if e.CA != "" {
		cfg.RootCAs, err = CertPool("--ca", e.CA)
		return cfg, err
	}
	return cfg, nil
}

// CertPool reads the certificates to trust from a file. Its errors name the flag.
func CertPool(flag, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, Inputf("%s: %v", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, Inputf("%s %s holds no certificate", flag, file)
	}
	return pool, nil
}
