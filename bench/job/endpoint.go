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

// The protocols that clients can speak.
const (
	Tapecast   = "tapecast"   // the gateway's own protocol; the default
	Centrifuge = "centrifuge" // Centrifugo's client protocol, JSON
	NATS       = "nats"       // NATS' text protocol in binary frames
	Plain      = "plain"      // nothing but messages; the rest of Speech describes them
)

// Speech is how clients talk to a server once they are connected.
type Speech struct {
	Protocol string `json:"protocol,omitempty"` // "": Tapecast

	// Say is for Plain: what a client sends after it has connected, one text frame each.
	// `{user}` stands for its user, and `{room}` for each of its rooms in turn.
	Say []string `json:"say,omitempty"`
	// Until is a part of the message that admits a client. "": a client is in once it has
	// sent everything in Say.
	Until string `json:"until,omitempty"`
	// After is the text right before the value in a message. "": the value is the first
	// thing in the message that looks like one.
	After string `json:"after,omitempty"`
}

// Check returns an InputError if the fields do not go together.
func (s *Speech) Check() error {
	plain := len(s.Say) > 0 || s.Until != "" || s.After != ""
	switch s.Protocol {
	case "", Tapecast, Centrifuge, NATS:
		if plain {
			return Inputf("--say, --until and --after are for --protocol plain only")
		}
	case Plain:
	default:
		return Inputf("--protocol %q is not one of %s, %s, %s and %s", s.Protocol, Tapecast, Centrifuge, NATS, Plain)
	}
	return nil
}

// Foreign reports whether the server is not the gateway.
func (s *Speech) Foreign() bool { return s.Protocol != "" && s.Protocol != Tapecast }
