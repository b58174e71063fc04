package job

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
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

// Keys say how clients get their tokens. At most one field is set. With none, clients
// connect without a token, which only a bench's own server accepts.
type Keys struct {
	Secret  string `json:"secret,omitempty"`  // HS256
	Ed25519 []byte `json:"ed25519,omitempty"` // the private key's seed
	Token   string `json:"token,omitempty"`   // one token for all clients
}

// tokenTTL is longer than any run: expiry is not what is measured.
const tokenTTL = 24 * time.Hour

// LoadKeys reads the keys from the flags: a secret, a file that holds a secret, a PEM
// file with an Ed25519 private key, or a token.
func LoadKeys(secret, secretFile, ed25519File, token string) (Keys, error) {
	given := 0
	for _, s := range []string{secret, secretFile, ed25519File, token} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return Keys{}, Inputf("more than one of --secret, --secret-file, --ed25519-key and --token is given: keep one")
	}
	switch {
	case secretFile != "":
		b, err := os.ReadFile(secretFile)
		if err != nil {
			return Keys{}, Inputf("cannot read --secret-file: %v", err)
		}
		// One newline at the end is not part of the secret, as with the gateway's secret_file.
		return Keys{Secret: strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")}, nil
	case ed25519File != "":
		seed, err := readEd25519(ed25519File)
		if err != nil {
			return Keys{}, Inputf("cannot read --ed25519-key: %v", err)
		}
		return Keys{Ed25519: seed}, nil
	}
	return Keys{Secret: secret, Token: token}, nil
}

func readEd25519(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := jwt.ParseEdPrivateKeyFromPEM(b)
	if err != nil {
		return nil, fmt.Errorf("%s holds no Ed25519 private key in PEM: %w", file, err)
	}
	return key.(ed25519.PrivateKey).Seed(), nil // jwt takes no other type
}

// Signer signs tokens that no gateway has seen before.
type Signer struct {
	method jwt.SigningMethod
	key    any
	token  string
	run    string
}

// NewSigner returns a signer with these keys.
func NewSigner(k Keys) Signer {
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	s := Signer{token: k.Token, run: hex.EncodeToString(run[:])}
	switch {
	case k.Secret != "":
		s.method, s.key = jwt.SigningMethodHS256, []byte(k.Secret)
	case len(k.Ed25519) == ed25519.SeedSize:
		s.method, s.key = jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(k.Ed25519)
	}
	return s
}

// Sign returns a token for a user, or "" without keys.
func (s Signer) Sign(user string) (string, error) {
	if s.method == nil {
		return s.token, nil
	}
	now := time.Now()
	t, err := jwt.NewWithClaims(s.method, jwt.MapClaims{
		"sub": user, "iat": now.Unix(), "exp": now.Add(tokenTTL).Unix(), "jti": s.run + "-" + user,
	}).SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("cannot sign a token for %s: %w", user, err)
	}
	return t, nil
}

// UserName returns the user of client number n, counted from 0.
func UserName(n int) string { return fmt.Sprintf("bench-%d", n+1) }

// Kind returns how tokens are signed: HS256, Ed25519, fixed or none.
func (k Keys) Kind() string {
	switch {
	case k.Secret != "":
		return "HS256"
	case len(k.Ed25519) > 0:
		return "Ed25519"
	case k.Token != "":
		return "fixed"
	}
	return "none"
}
