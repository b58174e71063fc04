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
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	old  []jwkset.JWKMarshal // of the rotation before, if they are published too
	both bool                // they are
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
	if i.both {
		i.old = i.publicLocked()
	}
	i.n++
	i.keys = map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey}
}

func (i *issuer) kid(alg string) string { return fmt.Sprint(alg, "-", i.n) }

// token signs with the key of this moment.
func (i *issuer) token(alg, user string) string {
	i.t.Helper()
	return i.signed(alg, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()})
}

// signed is token, with all its claims.
func (i *issuer) signed(alg string, claims jwt.MapClaims) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
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
	b, err := json.Marshal(jwkset.JWKSMarshal{Keys: append(i.publicLocked(), i.old...)})
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

// publicLocked returns the public keys of this rotation.
func (i *issuer) publicLocked() (keys []jwkset.JWKMarshal) {
	for alg, key := range i.keys {
		k, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: i.kid(alg), ALG: jwkset.ALG(alg), USE: jwkset.UseSig}})
		if err != nil {
			panic(err)
		}
		keys = append(keys, k.Marshal())
	}
	return keys
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

// published is an issuer behind HTTP.
type published struct {
	*issuer
	url     string
	fetches atomic.Int64
	status  atomic.Int32           // 0: it answers
	lie     atomic.Pointer[string] // said instead of the keys
	holds   sync.RWMutex           // locked: it takes its time
}

func publish(t testing.TB) *published {
	t.Helper()
	p := &published{issuer: newIssuer(t)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		p.holds.RLock()
		defer p.holds.RUnlock()
		if s := p.status.Load(); s != 0 {
			w.WriteHeader(int(s))
			return
		}
		if lie := p.lie.Load(); lie != nil {
			io.WriteString(w, *lie)
			return
		}
		w.Write(p.set())
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

// TestIssuerRotates: the issuer's keys change every 2 s, whatever is under way, and those before are published
// with them, as issuers do. No client is refused, and each rotation is fetched once.
func TestIssuerRotates(t *testing.T) {
	besideOthers(t)
	rotations, each := 3, 40
	if scaled().full() {
		rotations, each = 150, 67 // 2,000 a minute for 5 minutes
	}
	const every = 2 * time.Second
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	p := publish(t)
	p.both = true
	g := start(t, config(k, fmt.Sprintf("auth: {jwks_url: %q, jwks_refresh: 1h}\n", p.url)+authConfig))
	g.ready()
	began, took := time.Now(), make([]time.Duration, rotations*each)
	var clients sync.WaitGroup
	clients.Go(func() {
		for n := 1; n < rotations; n++ {
			due(began, time.Duration(n)*every)
			p.rotate()
		}
	})
	for i := range took {
		due(began, time.Duration(i)*every/time.Duration(each))
		token := p.token([]string{"RS256", "ES256", "EdDSA"}[i%3], fmt.Sprint("u", i%7))
		clients.Go(func() {
			at := time.Now()
			c, err := tryDial(t, g, dialing{query: "?token=" + token})
			if err != nil {
				t.Errorf("cannot connect: %v", err)
				return
			}
			defer c.conn.Close()
			if how := c.comesIn(patience); how != "let in" {
				t.Errorf("a client is %s", how)
			}
			took[i] = time.Since(at)
		})
	}
	clients.Wait()
	if n := p.fetches.Load(); n != int64(rotations) {
		t.Errorf("%d fetches for %d sets of keys", n, rotations)
	}
	if n := g.metric("tapecast_auth_refused_total"); n != 0 {
		t.Errorf("%v tokens were refused", n)
	}
	t.Logf("%d clients in %s, %d rotations, %d fetches; from the handshake to auto_subscribed: %s", len(took),
		time.Since(began).Round(time.Second), rotations-1, p.fetches.Load(), spread(took))
}

// TestIssuerAway: an issuer that does not answer, while the gateway runs and from the beginning.
func TestIssuerAway(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	p := publish(t)
	conf := config(k, fmt.Sprintf("auth: {jwks_url: %q}\n", p.url)+authConfig)
	g := start(t, conf)
	inside := func(g *gateway, token string) {
		t.Helper()
		c := dial(t, g, dialing{query: "?token=" + token})
		c.notice("auto_subscribed")
		c.leave()
	}
	turnedAway := func(g *gateway) {
		t.Helper()
		began := time.Now()
		c := dial(t, g, dialing{query: "?token=" + p.token("ES256", "42")})
		if code := c.awaitClose(patience); code != 1013 {
			t.Errorf("closed with %d %q, want 1013", code, c.reason)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if r := c.replies["null"]; r.Error == nil || r.Error.Code != -32010 {
			t.Errorf("told %v", c.replies)
		}
		t.Logf("turned away after %s", time.Since(began).Round(time.Millisecond))
	}
	known := p.token("RS256", "42")
	inside(g, known)
	p.holds.Lock()
	p.rotate()
	for g.metric("tapecast_breaker_open", `breaker="jwks"`) != 1 {
		turnedAway(g)
		inside(g, known) // those whose key is known come in all the while
	}
	turnedAway(g)                                            // at once
	eventually(t, patience, "health says why", func() bool { // it is looked at every 2 s
		_, body := g.get("/health")
		return strings.Contains(body, "auth.jwks_url") && strings.Contains(body, "breaker open")
	})
	p.holds.Unlock()
	eventually(t, patience, "the breaker closes", func() bool {
		return g.metric("tapecast_breaker_open", `breaker="jwks"`) == 0
	})
	inside(g, p.token("ES256", "42"))

	// Without any key a node is not ready.
	p.status.Store(http.StatusBadGateway)
	file := filepath.Join(t.TempDir(), "tapecast.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	second := launch(t, "run", "--config", file)
	turnedAway(second)
	if status, body := second.get("/readyz"); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "status 502") {
		t.Errorf("ready without a key: %s", body)
	}
	p.status.Store(0)
	second.ready()
	inside(second, p.token("EdDSA", "42"))
}
