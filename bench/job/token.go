package job

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

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
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, not an Ed25519 private key", file, key)
	}
	return k.Seed(), nil
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
