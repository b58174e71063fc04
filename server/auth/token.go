package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// MintToken makes a token that a server with this configuration accepts for ttl. It signs with the
// secret, or else (or with useEd25519) with the key of auth.private_key_file.
func MintToken(cfg *config.Config, user string, ttl time.Duration, useEd25519 bool) (string, error) {
	a := &cfg.Auth
	form, err := a.Users()
	if err != nil {
		return "", err
	}
	if err := checkUser(user, form); err != nil {
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
	priv, err := a.PrivateKey()
	if err != nil {
		return "", err
	}
	keys, _, err := a.ReadKeys()
	if err != nil {
		return "", err
	}
	for i := range keys {
		if pub, ok := keys[i].Material.(ed25519.PublicKey); ok && pub.Equal(priv.Public()) {
			t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
			if keys[i].ID != "" {
				t.Header["kid"] = keys[i].ID
			}
			return t.SignedString(priv)
		}
	}
	return "", errors.New("auth.private_key_file is not the private half of a key that is set, such as " +
		"auth.public_key: the server would refuse the token")
}
