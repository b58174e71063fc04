package job

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
)

// TLSConfig returns how the clients of a job speak TLS, nil if they don't. No session
// is resumed: every handshake is a full one.
func (j *Job) TLSConfig() (*tls.Config, error) {
	if !j.TLS {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(j.Host)
	if err != nil {
		host = j.Host
	}
	cfg := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
	if j.CA == "" {
		return cfg, nil
	}
	cfg.RootCAs, err = CertPool("--ca", j.CA)
	return cfg, err
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
