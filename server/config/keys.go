package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"strings"

	"tapecast/server/auth/keyset"
)

// TokenCost is what a token costs of limits.request_cost. Checking a signature takes 30 to 130 µs, and
// milliseconds with ES384 and ES512.
const TokenCost = 50

// ReadKeys returns the keys that tokens are checked with. unused says which keys of JWK Sets are
// left out, and why. The error names the key of the configuration.
func (a *Auth) ReadKeys() (keys []keyset.Key, unused []string, err error) {
	for path, k := range a.allKeys() {
		of, left, err := k.read()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, of...)
		for _, text := range left {
			unused = append(unused, path+": not used: "+text)
		}
	}
	return keys, unused, nil
}

// allKeys yields what may hold a key, by the key of the configuration that names it.
func (a *Auth) allKeys() iter.Seq2[string, *AuthKey] {
	return func(yield func(string, *AuthKey) bool) {
		if a.Secret != "" && !yield(either("auth.secret", a.SecretFile),
			&AuthKey{Secret: a.Secret, SecretFile: a.SecretFile}) {
			return
		}
		if a.PublicKey != "" && !yield(either("auth.public_key", a.PublicKeyFile),
			&AuthKey{PublicKey: a.PublicKey, PublicKeyFile: a.PublicKeyFile}) {
			return
		}
		for i := range a.Keys {
			if !yield(index("auth.keys", i), &a.Keys[i]) {
				return
			}
		}
	}
}

// either returns a key of the configuration, or that of its file if there is one.
func either(path, file string) string {
	if file != "" {
		path += "_file"
	}
	return path
}

func (k *AuthKey) read() (keys []keyset.Key, unused []string, err error) {
	switch {
	case k.Secret != "" && k.PublicKey != "":
		return nil, nil, errors.New("it has a secret and a public key: give each an entry of its own")
	case k.Secret != "":
		keys = make([]keyset.Key, 1)
		keys[0], err = keyset.Secret([]byte(k.Secret))
	case k.PublicKey != "":
		keys, unused, err = keyset.Parse([]byte(k.PublicKey))
	default:
		return nil, nil, errors.New("it has no key: set secret_file or public_key_file")
	}
	if err != nil {
		return nil, nil, err
	}
	if k.KID != "" {
		if len(k.KID) > keyset.MaxID {
			return nil, nil, fmt.Errorf("its kid is longer than %d bytes", keyset.MaxID)
		}
		if len(keys)+len(unused) > 1 || keys[0].ID != "" {
			return nil, nil, errors.New("the keys of a JWK Set have their own kid: remove this one")
		}
		keys[0].ID = k.KID
	}
	for i := range keys {
		if err := keys[i].Only(k.Algorithms); err != nil {
			return nil, nil, fmt.Errorf("algorithms: %w", err)
		}
	}
	return keys, unused, nil
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
