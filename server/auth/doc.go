// Package auth checks the tokens of clients, and makes those of the demo and of `tapecast token`.
// It asks no other system: keys come from the configuration.
//
// An Authenticator accepts HS256, EdDSA and Ed25519, each only if its key is configured. The text
// of a token counts, not what a decoder makes of it: names of claims are exact, none may occur
// twice, and extensions that must be understood are refused (claims.go). Permanent faults are
// reported before those that pass with time (ErrExpired, ErrEarly), so that a client knows whether
// a new token helps. Errors contain no part of a token and may be shown.
//
// An Authenticator does not change once New has made it, except for its counters, so all pollers
// use the same one. MintToken signs a token that a server with the same configuration accepts.
// DemoSecret, DemoAdminToken and KeepDemoBroker keep files that `tapecast run` needs without a
// configuration, readable by its user only (demo.go).
//
// BenchmarkParseToken measures the cost of a token, which is part of the 200 µs that a handshake
// may take.
package auth
