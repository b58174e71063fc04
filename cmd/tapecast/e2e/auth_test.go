package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const authConfig = `
rooms:
  - {match: "trades", class: stream}
  - {match: "orders:{owner}", class: private}
auto_join: [trades, "orders:{sub}"]
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
    - {topic: orders, rooms: ["orders:{@key}"], type: order_update}
`

// signer makes tokens of all kinds, valid and invalid.
type signer struct {
	private ed25519.PrivateKey
	public  []byte // PEM
}

// keyed returns a gateway that takes HS256 and Ed25519, and the keys. more goes into auth.
func keyed(t testing.TB, k *cluster, timeout time.Duration, more string) (*gateway, signer) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{priv, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, s.public, 0o600); err != nil {
		t.Fatal(err)
	}
	auth := fmt.Sprintf("auth: {secret: %q, public_key_file: %q, timeout: %s%s}\n", secret, file, timeout, more)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	return start(t, config(k, auth+authConfig)), s
}

func (s signer) token(t testing.TB, m jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(m, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAuthentication(t *testing.T) {
	g, s := keyed(t, fakeCluster(t), time.Second, "")
	a := &authenticating{g: g, s: s, hour: time.Now().Add(time.Hour).Unix()}
	a.good = jwt.MapClaims{"sub": "42", "exp": a.hour}
	a.hs = s.token(t, jwt.SigningMethodHS256, []byte(secret), a.good)
	a.ed = s.token(t, jwt.SigningMethodEdDSA, s.private, a.good)
	t.Run("handshake", a.handshake)
	t.Run("method", a.byMethod)
	t.Run("what to join", a.whatToJoin)
	t.Run("refused", a.refusals)
	t.Run("late", a.late)
	g.noTokens(t, a.hs, a.ed)
}

// authenticating is a gateway with its keys, and good tokens of user 42 that last for an hour.
type authenticating struct {
	g      *gateway
	s      signer
	hour   int64
	good   jwt.MapClaims
	hs, ed string
}

func (a *authenticating) handshake(t *testing.T) {
	for _, d := range []dialing{
		{query: "?token=" + a.hs},
		{query: "?x=1&token=" + a.ed},
		{header: http.Header{"Authorization": {"Bearer " + a.hs}}},
		{header: http.Header{"Authorization": {"Bearer " + a.ed}}},
		{subprotocols: []string{"tapecast.v1", "bearer." + a.hs}},
		{subprotocols: []string{"tapecast.v1", "bearer." + a.ed}},
	} {
		c := dial(t, a.g, d)
		authenticated(t, c.notice("authenticated"), "42", a.hour)
		c.notice("auto_subscribed")
		c.mu.Lock()
		if n := c.notices[0]; n.Method != "authenticated" || len(c.rooms) != 2 {
			t.Errorf("first came %s, in %d rooms", n.Method, len(c.rooms))
		}
		c.mu.Unlock()
		c.check()
		c.leave()
	}
}

func (a *authenticating) byMethod(t *testing.T) {
	for _, token := range []string{a.hs, a.ed} {
		c := dial(t, a.g, dialing{})
		if p := string(c.notice("auth_required")); p != `{"timeout":1000,"maxMessage":65536}` {
			t.Errorf("auth_required has %s", p)
		}
		r := c.call("authenticate", map[string]any{"token": token})
		if r.Error != nil {
			t.Fatalf("refused: %+v", *r.Error)
		}
		authenticated(t, r.Result, "42", a.hour)
		c.notice("auto_subscribed")
		c.leave()
	}
}

func (a *authenticating) whatToJoin(t *testing.T) {
	f := func(d dialing, params map[string]any, rooms ...string) {
		t.Helper()
		c := dial(t, a.g, d)
		if r := c.call("authenticate", params); r.Error != nil {
			t.Fatalf("refused: %+v", *r.Error)
		}
		c.notice("auto_subscribed")
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.rooms) != len(rooms) {
			t.Errorf("in %d rooms, want %v", len(c.rooms), rooms)
		}
		for _, r := range rooms {
			if c.rooms[r] == nil {
				t.Errorf("not in %s", r)
			}
		}
	}
	f(dialing{}, map[string]any{"token": a.hs, "join": []string{}})
	f(dialing{}, map[string]any{"token": a.hs, "join": []string{"orders:42"}}, "orders:42")
	f(dialing{query: "?join=manual&token=" + a.hs}, map[string]any{"join": []string{"trades"}}, "trades")
	f(dialing{query: "?join=manual&token=" + a.hs}, map[string]any{"positions": false}, "trades", "orders:42")
}

func (a *authenticating) refusals(t *testing.T) {
	closing := func(what, token string, want int) {
		t.Helper()
		c := dial(t, a.g, dialing{})
		c.request("1", "authenticate", map[string]any{"token": token})
		if code := c.awaitClose(patience); code != want {
			t.Errorf("%s: closed with %d %q, want %d", what, code, c.reason, want)
		}
		if r := c.replies["1"]; r.Error == nil || r.Error.Code != -32002 {
			t.Errorf("%s: %+v %s", what, r.Error, r.Result)
		}
		c = dial(t, a.g, dialing{query: "?token=" + token})
		if code := c.awaitClose(patience); code != want {
			t.Errorf("%s in the handshake: closed with %d %q, want %d", what, code, c.reason, want)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if r := c.replies["null"]; r.Error == nil || r.Error.Code != -32002 {
			t.Errorf("%s in the handshake: no error -32002 but %v", what, c.replies)
		}
		if len(c.rooms) != 0 {
			t.Errorf("%s: joined rooms", what)
		}
	}
	f := func(what, token string) {
		t.Helper()
		closing(what, token, 4001)
	}
	f("garbage", "garbage")
	f("another secret", a.s.token(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), a.good))
	f("no algorithm", a.s.token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, a.good))
	f("the public key as a secret", a.s.token(t, jwt.SigningMethodHS256, a.s.public, a.good))
	f("HS512", a.s.token(t, jwt.SigningMethodHS512, []byte(secret), a.good))
	closing("expired",
		a.s.token(t, jwt.SigningMethodHS256, []byte(secret),
			jwt.MapClaims{"sub": "42", "exp": time.Now().Unix() - 31}), 4201)
	closing("not yet",
		a.s.token(t, jwt.SigningMethodHS256, []byte(secret),
			jwt.MapClaims{"sub": "42", "exp": a.hour, "nbf": a.hour - 60}), 4201)
	f("no exp", a.s.token(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": "42"}))
	f("no sub", a.s.token(t, jwt.SigningMethodEdDSA, a.s.private, jwt.MapClaims{"exp": a.hour}))
	f("a sub that cannot be in a room name",
		a.s.token(t, jwt.SigningMethodEdDSA, a.s.private, jwt.MapClaims{"sub": "4\x002", "exp": a.hour}))
	f("torn", a.hs[:len(a.hs)-2])
}

func (a *authenticating) late(t *testing.T) {
	c := dial(t, a.g, dialing{})
	began := time.Now()
	if code := c.awaitClose(patience); code != 4004 {
		t.Errorf("closed with %d, want 4004", code)
	}
	if d := time.Since(began); d < 700*time.Millisecond || d > 3*time.Second {
		t.Errorf("closed after %s, want 1 s", d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.replies["null"]; r.Error == nil || r.Error.Code != -32003 {
		t.Errorf("no error -32003 but %v", c.replies)
	}
}

// noTokens fails the test if the log holds a token.
func (g *gateway) noTokens(t *testing.T, tokens ...string) {
	t.Helper()
	log := g.tail(1 << 20)
	for _, token := range tokens {
		if signature := token[strings.LastIndexByte(token, '.')+1:]; strings.Contains(log, signature) {
			t.Error("the log holds a token")
		}
	}
}

func authenticated(t *testing.T, p json.RawMessage, user string, exp int64) {
	t.Helper()
	var a struct {
		ClientID, UserID string
		Expires          int64
		MaxMessage       int
	}
	exact(t, "authenticated", string(p), &a)
	if a.ClientID == "" || a.MaxMessage != 256<<10 || a.UserID != user || a.Expires != exp {
		t.Errorf("authenticated with %s, want user %s until %d", p, user, exp)
	}
}

// TestTokenExpiresWhileConnected: a client is told before, and closed with 4201 after, unless
// a new token comes in time.
func TestTokenExpiresWhileConnected(t *testing.T) {
	besideOthers(t)
	g, s := keyed(t, fakeCluster(t), 10*time.Second, ", leeway: 0s")
	short := func() string {
		return s.token(t, jwt.SigningMethodEdDSA, s.private,
			jwt.MapClaims{"sub": "42", "exp": time.Now().Add(4 * time.Second).Unix()})
	}
	began := time.Now()
	ends := dial(t, g, dialing{query: "?token=" + short()})
	stays := dial(t, g, dialing{query: "?token=" + short()})
	stays.notice("auth_expiring")
	if r := stays.call("authenticate", map[string]any{"token": tokenFor("43", time.Hour)}); r.Error == nil ||
		r.Error.Code != -32002 {
		t.Errorf("renewed with another user's token: %+v %s", r.Error, r.Result)
	}
	if r := stays.call("authenticate", map[string]any{"token": tokenFor("42", time.Hour)}); r.Error != nil {
		t.Errorf("not renewed: %+v", *r.Error)
	}
	if code := ends.awaitClose(patience); code != 4201 {
		t.Errorf("closed with %d %q, want 4201", code, ends.reason)
	}
	if d := time.Since(began); d < 2500*time.Millisecond || d > 20*time.Second {
		t.Errorf("closed after %s, want 3 to 4 s", d)
	}
	ends.notice("auth_expiring")
	if r := stays.call("ping", nil); r.Error != nil {
		t.Errorf("after the first token's end: %+v", *r.Error)
	}
	stays.check()
	stays.leave()
}
