package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/loop"
)

// BenchmarkParseToken checks tokens that were never seen before: part of the
// 200 µs that a handshake may take in all.
func BenchmarkParseToken(b *testing.B) {
	public, private := testEd25519(b)
	a, err := newAuthenticator(&AuthConfig{Secret: testSecret, PublicKey: public})
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, m jwt.SigningMethod, key any) {
		b.Run(name, func(b *testing.B) {
			tokens := make([]string, 1000)
			for i := range tokens {
				tokens[i] = sign(b, m, key, jwt.RegisteredClaims{Subject: fmt.Sprintf("user%d", i), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
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
}

// BenchmarkHandshake is the server's share of it: token, session, seven rooms,
// and both messages.
func BenchmarkHandshake(b *testing.B) {
	h := newTestHandler(b)
	r := &loop.Request{Token: testToken(b, "42", time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		c := newFakeConn(h)
		h.open(c, r)
		if len(c.out) != 2 {
			b.Fatalf("got %q", c.out)
		}
		c.SetTimer(time.Time{})
		h.closed(c, 1000)
	}
}

// BenchmarkRequest is one subscription to a room by an authenticated client.
func BenchmarkRequest(b *testing.B) {
	h := newTestHandler(b, func(cfg *Config) { cfg.Limits.MessagesPerSecond = 0 })
	c := newFakeConn(h)
	h.open(c, &loop.Request{Token: testToken(b, "42", time.Hour)})
	run := func(text string) {
		p := []byte(text)
		b.Run(text[:20], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.message(c, 1, p)
				c.out = c.out[:0]
			}
		})
	}
	run(`{"method":"ping","id":1}`)
	run(`{"method":"subscribe","params":{"rooms":["prices:BTCUSDT"]},"id":1}`)
}
