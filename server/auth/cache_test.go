package auth

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/auth/keyset"
	"tapecast/server/config"
)

// TestKnownTokens: a token that was good is known for a minute, and no longer than it lives or than its
// key is accepted.
func TestKnownTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, private := testEd25519(t)
		cfg := &config.Auth{Secret: testSecret, PublicKey: public, Leeway: 10 * time.Second}
		a, err := New(cfg, quiet)
		if err != nil {
			t.Fatal(err)
		}
		parse := func(token string, hits, misses uint64, want error) {
			t.Helper()
			id, err := a.ParseToken(token)
			if err != want || err == nil && id.User != "42" {
				t.Errorf("got %+v, %v, want %v", id, err, want)
			}
			if k := a.Known(); k.Hits != hits || k.Misses != misses {
				t.Errorf("%d hits, %d misses, want %d, %d", k.Hits, k.Misses, hits, misses)
			}
		}
		lasting := func(d time.Duration) string {
			return sign(t, jwt.SigningMethodEdDSA, private, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(d).Unix()})
		}
		long, short := lasting(time.Hour), lasting(20*time.Second)
		parse(long, 0, 1, nil)
		parse(long, 1, 1, nil)
		parse(short, 1, 2, nil)
		testwait.Pass(29 * time.Second)
		parse(short, 2, 2, nil) // within the leeway
		testwait.Pass(time.Second)
		parse(short, 2, 3, ErrExpired)
		parse(short, 2, 4, ErrExpired) // refusals are not known
		parse(long, 3, 4, nil)
		testwait.Pass(30 * time.Second)
		parse(long, 3, 5, nil) // forgotten after a minute
		parse(long, 4, 5, nil)

		parse(long[:len(long)-6]+"AAAAAA", 4, 6, errSignature)
		parse("", 4, 6, errEmpty)
		parse(strings.Repeat("x", maxToken+1), 4, 6, errLong)

		// A key that is withdrawn takes its tokens along.
		other := *cfg
		other.PublicKey, _ = testEd25519(t)
		if err := a.Reload(&other); err != nil {
			t.Fatal(err)
		}
		parse(long, 4, 7, errSignature)
		if err := a.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		parse(long, 4, 8, nil)

		// A check by a secret is as quick as the memory.
		secret := minted(t, "42", time.Hour)
		parse(secret, 4, 9, nil)
		parse(secret, 4, 10, nil)

		// A check that ends after its key was withdrawn leaves nothing behind.
		d, old := digestOf(short), a.known.generation.Load()
		a.known.generation.Add(1)
		a.known.add(d, Identity{User: "42"}, old, time.Now().Add(time.Hour))
		if _, ok := a.known.find(d); ok {
			t.Error("a token of a withdrawn key is known")
		}
	})
}

// TestKnownTokensOfIssuer: a fetch that brings the same keys forgets no token.
func TestKnownTokensOfIssuer(t *testing.T) {
	a, err := New(&config.Auth{JWKSURL: "http://127.0.0.1:1/", JWKSRefresh: time.Hour}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	public, private := testEd25519(t)
	one, _, _ := keyset.Parse([]byte(public))
	public, _ = testEd25519(t)
	two, _, _ := keyset.Parse([]byte(public))
	one[0].ID, two[0].ID = "1", "2"
	token := signing{key: private}.tokenOf(t, jwt.SigningMethodEdDSA, "1")
	take := func(hits uint64, want error, keys ...keyset.Key) {
		t.Helper()
		a.take(keys, nil)
		if _, err := a.ParseToken(token); err == nil && want != nil || err != nil && err.Error() != want.Error() {
			t.Errorf("got %v, want %v", err, want)
		}
		if n := a.Known().Hits; n != hits {
			t.Errorf("%d hits, want %d", n, hits)
		}
	}
	take(0, nil, one[0], two[0])
	take(1, nil, two[0], one[0])
	take(1, nil, one[0])
	take(2, nil, one[0])
	take(2, ErrAsk, two[0])
	take(2, ErrAsk)
	take(2, nil, one[0])
}

// TestKnownBound: what is remembered is bounded by its memory, and swept.
func TestKnownBound(t *testing.T) {
	k := newKnown(100 * knownSize)
	end, long := time.Now().Add(time.Hour), strings.Repeat("x", knownSize+knownName)
	for i := range 1000 {
		id := Identity{User: "42"}
		if i%4 == 1 {
			id.Claims = &Claims{List: []Claim{{Name: "role", Text: long}}} // and so do claims
		}
		if i%2 == 0 {
			id.User, id.ID = long[:len(long)/2], long[len(long)/2:] // weighs twice as much
		}
		k.add(digestOf(fmt.Sprint(i)), id, 0, end)
	}
	k.entries.CleanUp()
	if n := k.entries.WeightedSize(); n > 100*knownSize || n < 50*knownSize {
		t.Errorf("%d bytes", n)
	}
	if n := k.entries.EstimatedSize(); n > 100 {
		t.Errorf("%d tokens", n)
	}
	if n := reflect.TypeFor[Identity]().NumField(); n != 6 {
		t.Errorf("an identity has %d fields: what do they refer to (size)?", n)
	}
	synctest.Test(t, func(t *testing.T) {
		public, private := testEd25519(t)
		a, err := New(&config.Auth{PublicKey: public}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go a.Run(ctx, func() {})
		a.ParseToken(signing{key: private}.tokenOf(t, jwt.SigningMethodEdDSA, ""))
		synctest.Wait() // it is weighed on another goroutine
		if k := a.Known(); k.Entries != 1 || k.Bytes != knownSize {
			t.Errorf("%+v", k)
		}
		testwait.Pass(knownFor + 2*sweepEvery)
		if k := a.Known(); k.Entries != 0 || k.Bytes != 0 {
			t.Errorf("%+v after its time", k)
		}
		cancel()
		synctest.Wait()
	})
}
