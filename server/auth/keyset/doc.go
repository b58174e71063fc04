// Package keyset holds the keys that tokens are checked with: what they may be used for, and which
// of them fit a token.
//
// Parse reads public keys, in PEM or as a JWK Set (RFC 7517), and Secret makes a key of a shared
// secret. Each key knows the algorithms that its type allows, so that a token never chooses how
// its key is read: an RSA key checks RS256 to PS512, a P-256 key ES256, an Ed25519 key EdDSA and
// Ed25519 (RFC 9864), and a secret HS256, with more bytes HS384 and HS512. Find returns the keys
// for a token's alg and kid.
//
// A Set does not change, so any goroutine may use it. Who wants other keys makes another Set.
package keyset
