// Package auth checks the tokens that clients bring, and makes those of the demo and of
// `tapecast token`. It asks nobody: keys come from the configuration.
//
// An Authenticator takes HS256, EdDSA and Ed25519, each only where its key is configured. What
// the text of a token says counts, and not what a decoder makes of it: names of claims are
// exact, none may stand twice, and extensions that must be understood are refused (claims.go).
// What is wrong for good is told before what passes by itself (ErrExpired, ErrEarly), so that
// a client knows whether a new token helps. Errors hold no part of a token and may be shown.
//
// An Authenticator does not change once New has made it, apart from its counters: pollers use
// it side by side. MintToken signs a token that a server of the same configuration takes.
// DemoSecret, DemoAdminToken and KeepDemoBroker keep what `tapecast run` without a
// configuration needs, for its user's eyes alone (demo.go).
//
// BenchmarkParseToken is what a token costs: part of the 200 µs that a handshake may take.
package auth
