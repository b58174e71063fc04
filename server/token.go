package server

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// minSecret is the least length of an HS256 key: that of the hash's output
// (RFC 7518, section 3.2).
const minSecret = 32

// Ed25519Key is the public key that tokens are checked with; nil where none is
// configured.
func (a *AuthConfig) Ed25519Key() (ed25519.PublicKey, error) {
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
		return nil, errors.New("the key is of another kind than Ed25519")
	}
	return pub, nil
}

// privateKey is the key that tokens are signed with.
func (a *AuthConfig) privateKey() (ed25519.PrivateKey, error) {
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

// MintToken makes a token for a user that a server with the same configuration
// accepts for ttl. It signs with HS256 where there is a secret, else (or with
// useEd25519) with the Ed25519 key of auth.private_key_file.
func MintToken(cfg *Config, user string, ttl time.Duration, useEd25519 bool) (string, error) {
	a := &cfg.Auth
	if err := checkUser(user); err != nil {
		return "", fmt.Errorf("cannot make a token for %q: %w", user, err)
	}
	if ttl <= 0 {
		return "", fmt.Errorf("cannot make a token that lives for %s: give a time such as 1h", ttl)
	}
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Subject:   user,
		Issuer:    a.Issuer,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}
	if a.Audience != "" {
		claims.Audience = jwt.ClaimStrings{a.Audience}
	}
	if a.Secret != "" && !useEd25519 {
		return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(a.Secret))
	}
	if !useEd25519 && a.PrivateKeyFile == "" {
		return "", errors.New("cannot sign: set auth.secret (or auth.secret_file), or auth.private_key_file")
	}
	priv, err := a.privateKey()
	if err != nil {
		return "", err
	}
	pub, err := a.Ed25519Key()
	if err != nil {
		return "", fmt.Errorf("auth.public_key: %w", err)
	}
	if !pub.Equal(priv.Public()) {
		return "", errors.New("auth.private_key_file is not the private half of auth.public_key: the server would refuse the token")
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(priv)
}
