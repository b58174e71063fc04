package auth

import (
	"crypto"
	"crypto/elliptic"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/auth/keyset"
	"tapecast/server/config"
)

// BenchmarkParseToken checks tokens, as part of the 200 µs that a handshake may take in all: known ones,
// those that were never seen before, and for comparison these with the library alone and the same
// key (bare).
func BenchmarkParseToken(b *testing.B) {
	public, private := testEd25519(b)
	rs, es, es5 := rsaSigning(b, ""), ecSigning(b, "", elliptic.P256()), ecSigning(b, "", elliptic.P521())
	a, err := New(&config.Auth{Secret: testSecret, PublicKey: public,
		Keys: []config.AuthKey{rs.public, es.public, es5.public}}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, m jwt.SigningMethod, key, public any) {
		tokens := make([]string, 1000)
		for i := range tokens {
			tokens[i] = sign(b, m, key,
				jwt.RegisteredClaims{Subject: fmt.Sprintf("user%d", i),
					ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
		}
		of := func(kind string, check func(token string, round int) error) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				for _, token := range tokens {
					if err := check(token, -1); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := check(tokens[i%len(tokens)], i/len(tokens)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		parse := func(token string, _ int) error {
			_, err := a.ParseToken(token)
			return err
		}
		if keyset.Public(m.Alg()) {
			of("cached", parse)
		}
		last := -1
		of("new", func(token string, round int) error {
			if round != last { // none of the round before is known
				last = round
				a.known.generation.Add(1)
			}
			return parse(token, round)
		})
		p, find := jwt.NewParser(jwt.WithExpirationRequired()), func(*jwt.Token) (any, error) { return public, nil }
		of("bare", func(token string, _ int) error {
			_, err := p.ParseWithClaims(token, &jwt.RegisteredClaims{}, find)
			return err
		})
	}
	run("HS256", jwt.SigningMethodHS256, []byte(testSecret), []byte(testSecret))
	run("EdDSA", jwt.SigningMethodEdDSA, private, private.Public())
	run("RS256", jwt.SigningMethodRS256, rs.key, rs.key.(crypto.Signer).Public())
	run("PS256", jwt.SigningMethodPS256, rs.key, rs.key.(crypto.Signer).Public())
	run("ES256", jwt.SigningMethodES256, es.key, es.key.(crypto.Signer).Public())
	run("ES512", jwt.SigningMethodES512, es5.key, es5.key.(crypto.Signer).Public())
}
