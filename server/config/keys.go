package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MinSecret is the least length of an HS256 key in bytes, the length of the hash's output (RFC
// 7518, section 3.2).
const MinSecret = 32

// TokenCost is what a token costs of limits.request_cost. Checking an Ed25519 signature takes 130
// µs.
const TokenCost = 50

// Ed25519Key returns the public key that tokens are checked with, or nil if none is configured.
func (a *Auth) Ed25519Key() (ed25519.PublicKey, error) {
	if a.PublicKey == "" {
		return nil, nil
	}
	block, _ := pem.Decode([]byte(a.PublicKey))
	if block == nil {
		return nil, errors.New("the key is not in PEM form")
	}
	if strings.Contains(block.Type, "PRIVATE") {
		return nil, errors.New("this is a private key, which the server must not have")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no public key")
	}
	pub, ok := k.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the key is not an Ed25519 key")
	}
	return pub, nil
}

// minAdminToken is the least length of the token. 32 random characters cannot be guessed.
const minAdminToken = 32

// ReadAdminToken reads the token of admin.token_file, without the white space around it.
func ReadAdminToken(file string) (string, error) {
	b, err := readFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minAdminToken {
		return "", fmt.Errorf("%s holds %d characters: %d or more are needed", file, len(token), minAdminToken)
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s holds characters that no header can: use letters and digits", file)
	}
	return token, nil
}

// PrivateKey returns the key that tokens are signed with.
func (a *Auth) PrivateKey() (ed25519.PrivateKey, error) {
	if a.PrivateKeyFile == "" {
		return nil, errors.New("cannot sign with Ed25519: set auth.private_key_file")
	}
	b, err := readFile(a.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read auth.private_key_file: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("auth.private_key_file: %s holds no key in PEM form", a.PrivateKeyFile)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	priv, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("auth.private_key_file: %s holds no Ed25519 private key", a.PrivateKeyFile)
	}
	return priv, nil
}
