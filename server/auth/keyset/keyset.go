package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// MinSecret is the least length of a secret in bytes: that of HS256's hash (RFC 7518, section
	// 3.2). HS384 needs 48, HS512 64.
	MinSecret = 32
	// MaxKeys is how many keys a JWK Set may hold. Identity providers publish two to eight.
	MaxKeys = 64
	// MaxID is how long a kid may be, in bytes.
	MaxID = 256
	// minRSA is the least size of an RSA key in bits (RFC 7518, section 3.3).
	minRSA = 2048
	// maxRSA bounds what a signature costs to check.
	maxRSA = 8192
	// maxTried is how many keys are tried for a token without a kid, at 30 to 130 µs each.
	maxTried = 4
	// maxSlow is maxTried of ES384 and ES512, where each takes milliseconds.
	maxSlow = 1
)

// Key is one key.
type Key struct {
	// ID is its kid. A key without one serves tokens with any kid that no other key has.
	ID string
	// Algorithms are those it may be used with, by their names in a token's header.
	Algorithms []string
	// Material is a []byte (a secret), *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Material crypto.PublicKey
	// NotBefore and NotAfter are those of the certificate that the key came with. Zero: there was none.
	// They are for warnings: the key is used all the same.
	NotBefore, NotAfter time.Time
}

// Secret makes a key of a shared secret. The error says how long it must be.
func Secret(secret []byte) (Key, error) {
	if len(secret) < MinSecret {
		return Key{}, fmt.Errorf("the key has %d bytes, and HS256 needs %d or more", len(secret), MinSecret)
	}
	k := Key{Algorithms: []string{"HS256"}, Material: secret}
	if len(secret) >= 48 {
		k.Algorithms = append(k.Algorithms, "HS384")
	}
	if len(secret) >= 64 {
		k.Algorithms = append(k.Algorithms, "HS512")
	}
	return k, nil
}

// public makes a key of a public key.
func public(material crypto.PublicKey) (Key, error) {
	k := Key{Material: material}
	switch p := material.(type) {
	case ed25519.PublicKey:
		k.Algorithms = []string{"Ed25519", "EdDSA"}
	case *rsa.PublicKey:
		if p.E < 3 || p.E%2 == 0 || p.E > math.MaxInt32 || p.N.Bit(0) == 0 {
			return Key{}, errors.New("the RSA key is not well formed: its exponent and modulus must be odd")
		}
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return Key{}, fmt.Errorf("the RSA key has %d bits, and must have %d to %d", n, minRSA, maxRSA)
		}
		k.Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		if _, err := p.ECDH(); err != nil {
			return Key{}, errors.New("the EC key is not a point of P-256, P-384 or P-521")
		}
		switch p.Curve {
		case elliptic.P256():
			k.Algorithms = []string{"ES256"}
		case elliptic.P384():
			k.Algorithms = []string{"ES384"}
		case elliptic.P521():
			k.Algorithms = []string{"ES512"}
		}
	default:
		return Key{}, errors.New("the key is neither RSA, EC (P-256, P-384, P-521) nor Ed25519")
	}
	return k, nil
}

// Public reports whether an algorithm is one of public keys.
func Public(alg string) bool {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519":
		return true
	}
	return false
}

// Same reports whether two keys do the same.
func (k *Key) Same(other *Key) bool {
	same, ok := k.Material.(interface{ Equal(crypto.PublicKey) bool })
	return ok && same.Equal(other.Material) && k.ID == other.ID && slices.Equal(k.Algorithms, other.Algorithms)
}

// Only leaves the key those of the given algorithms that it allows. With none given it keeps all.
func (k *Key) Only(algorithms []string) error {
	if len(algorithms) == 0 {
		return nil
	}
	for _, a := range algorithms {
		if !slices.Contains(k.Algorithms, a) {
			return fmt.Errorf("%s does not fit the key, which is for %s", a, strings.Join(k.Algorithms, ", "))
		}
	}
	k.Algorithms = algorithms
	return nil
}

// Set is the keys that are known at a time.
type Set struct{ keys []Key }

// NewSet makes a set. It keeps the slice.
func NewSet(keys []Key) *Set { return &Set{keys} }

// Len returns how many keys there are.
func (s *Set) Len() int { return len(s.keys) }

// Algorithms returns all that some key may be used with, each once, in order of the keys.
func (s *Set) Algorithms() []string {
	var all []string
	for i := range s.keys {
		for _, a := range s.keys[i].Algorithms {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// Found says why Find returned no key.
type Found uint8

const (
	// Fits: there are keys for the token.
	Fits Found = iota
	// NoAlgorithm: no key, whatever its kid, may be used with the algorithm.
	NoAlgorithm
	// NoID: no key with the kid may be used with the algorithm.
	NoID
	// Ambiguous: the token has no kid, and more keys fit than are tried.
	Ambiguous
)

// Has reports whether a key has this kid and may be used with the algorithm.
func (s *Set) Has(alg, kid string) bool {
	return slices.ContainsFunc(s.keys, func(k Key) bool { return k.ID == kid && slices.Contains(k.Algorithms, alg) })
}

// Find appends the keys for a token with this alg and kid ("": none) to dst. A key with the
// token's kid comes alone. It is never used for another algorithm than its own.
func (s *Set) Find(dst []Key, alg, kid string) ([]Key, Found) {
	exact, other := len(dst), false
	for i := range s.keys {
		k := &s.keys[i]
		switch {
		case !slices.Contains(k.Algorithms, alg):
		case kid != "" && k.ID == kid, kid == "":
			dst = append(dst, *k)
		default:
			other = true
		}
	}
	most := maxTried
	if alg == "ES384" || alg == "ES512" {
		most = maxSlow
	}
	switch n := len(dst) - exact; {
	case n > most:
		return dst[:exact], Ambiguous
	case n > 0:
		return dst, Fits
	case !other:
		return dst, NoAlgorithm
	}
	for i := range s.keys {
		if k := &s.keys[i]; k.ID == "" && slices.Contains(k.Algorithms, alg) {
			dst = append(dst, *k)
		}
	}
	if len(dst) == exact {
		return dst, NoID
	}
	return dst, Fits
}
