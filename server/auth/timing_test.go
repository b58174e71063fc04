package auth

import (
	"crypto/elliptic"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// BenchmarkParseToken checks tokens that were never seen before: part of the
// 200 µs that a handshake may take in all.
func BenchmarkParseToken(b *testing.B) {
	public, private := testEd25519(b)
	rs, es, es5 := rsaSigning(b, ""), ecSigning(b, "", elliptic.P256()), ecSigning(b, "", elliptic.P521())
	a, err := New(&config.Auth{Secret: testSecret, PublicKey: public,
		Keys: []config.AuthKey{rs.public, es.public, es5.public}}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, m jwt.SigningMethod, key any) {
		b.Run(name, func(b *testing.B) {
			tokens := make([]string, 1000)
			for i := range tokens {
				tokens[i] = sign(b, m, key,
					jwt.RegisteredClaims{Subject: fmt.Sprintf("user%d", i),
						ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := a.ParseToken(tokens[i%len(tokens)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("HS256", jwt.SigningMethodHS256, []byte(testSecret))
	run("Ed25519", jwt.SigningMethodEdDSA, private)
	run("RS256", jwt.SigningMethodRS256, rs.key)
	run("PS256", jwt.SigningMethodPS256, rs.key)
	run("ES256", jwt.SigningMethodES256, es.key)
	run("ES512", jwt.SigningMethodES512, es5.key)
}
