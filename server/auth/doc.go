// Package auth checks the tokens of clients, and makes those of the demo and of `tapecast token`.
// Keys come from the configuration and from auth.jwks_url (package jwks). A service may have the last
// word (auth.verify, package verify).
//
// An Authenticator accepts a token only if one of its keys fits the token's algorithm and kid and
// has signed it (package keyset). The text of a token counts, not what a decoder makes of it: names
// of claims are exact, none may occur twice, and extensions that must be understood are refused
// (claims.go). Permanent faults are reported before those that pass with time (ErrExpired,
// ErrEarly), so that a client knows whether a new token helps. Errors contain no part of a token and
// may be shown.
//
// Keep names the claims that rules need (package rights). An Identity holds those, and no others.
//
// All pollers use the same Authenticator. Its keys are one pointer, which Reload and each fetch
// replace. ParseToken answers from memory, and remembers good tokens for a minute (cache.go), until
// the keys change. It remembers none of shared secrets, whose check is as quick. If it says ErrAsk,
// the issuer may have published the key meanwhile, or the service has to be asked (remote.go): Ask
// answers later, on a goroutine of Run. MintToken signs a token that a server with the same
// configuration accepts.
// What the service has said may be shared with other nodes (share.go, package shared). Package revoked
// judges what a good token says, after any cache.
// DemoSecret, DemoAdminToken and KeepDemoBroker keep files that `tapecast run` needs without a
// configuration, readable by its user only (demo.go).
//
// BenchmarkParseToken measures the cost of a token, which is part of the 200 µs that a handshake
// may take.
package auth
