package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// issuer is an identity provider: it signs with one key of a kind at a time, and publishes these.
type issuer struct {
	t    testing.TB
	mu   sync.Mutex
	n    int // of the rotation
	keys map[string]crypto.Signer
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{t: t}
	i.rotate()
	return i
}

// rotate makes a new key of each kind.
func (i *issuer) rotate() {
	i.t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	i.keys = map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey}
}

func (i *issuer) kid(alg string) string { return fmt.Sprint(alg, "-", i.n) }

// token signs with the key of this moment.
func (i *issuer) token(alg, user string) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg),
		jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = i.kid(alg)
	text, err := token.SignedString(i.keys[alg])
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// set returns the JWK Set that it publishes now.
func (i *issuer) set() []byte {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jwkset.JWKSMarshal
	for alg, key := range i.keys {
		k, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: i.kid(alg), ALG: jwkset.ALG(alg), USE: jwkset.UseSig}})
		if err != nil {
			i.t.Fatal(err)
		}
		set.Keys = append(set.Keys, k.Marshal())
	}
	b, err := json.Marshal(set)
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

// TestKeyRotation: keys in a file are replaced while the gateway runs. Clients that are in stay in,
// new tokens are good, and those of the old keys no longer are. A file that holds no key changes
// nothing.
func TestKeyRotation(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	file, old := filepath.Join(t.TempDir(), "keys.json"), newIssuer(t)
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old.set())
	g := start(t, config(k, fmt.Sprintf("auth: {public_key_file: %q}\n", file)+authConfig))
	inside := func(i *issuer, alg string) *client {
		t.Helper()
		c := dial(t, g, dialing{query: "?token=" + i.token(alg, "42")})
		c.notice("auto_subscribed")
		return c
	}
	refused := func(i *issuer, alg string, want int) {
		t.Helper()
		c := dial(t, g, dialing{query: "?token=" + i.token(alg, "42")})
		if code := c.awaitClose(patience); code != want {
			t.Errorf("%s: closed with %d %q, want %d", alg, code, c.reason, want)
		}
	}
	var stay []*client
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		stay = append(stay, inside(old, alg))
	}
	fresh := newIssuer(t)
	fresh.n = 7
	refused(fresh, "ES256", 4201) // its kid is not known

	write([]byte(`{"keys": []}`))
	g.cmd.Process.Signal(syscall.SIGHUP)
	g.waitLog(patience, "cannot reload: the configuration has faults", nil)
	inside(old, "RS256").leave()

	write(fresh.set())
	g.cmd.Process.Signal(syscall.SIGHUP)
	g.waitLog(patience, "keys reloaded", nil)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		inside(fresh, alg).leave()
		refused(old, alg, 4201)
	}
	for _, c := range stay {
		if r := c.call("authenticate", map[string]any{"token": fresh.token("ES256", "42")}); r.Error != nil {
			t.Errorf("a renewal with a new key: %+v", *r.Error)
		}
		c.check()
		c.leave()
	}
	g.noTokens(t, old.token("RS256", "42"))
}
