package auth

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

// TestReloadKeysWhateverElse: what takes a restart does not keep new keys out.
func TestReloadKeysWhateverElse(t *testing.T) {
	is := config.Auth{Secret: testSecret, JWKSURL: "http://127.0.0.1:1/keys",
		Certificate: config.Certificate{User: "cn"},
		Verify:      config.Verify{URL: "http://127.0.0.1:1/me"}, Redis: config.Redis{Address: "127.0.0.1:1",
			Secret: "a secret of the gateways, 32 bytes"}}
	next := config.Secret(strings.Repeat("n", 32))
	for i, change := range []func(*config.Auth){
		func(c *config.Auth) { c.JWKSURL = "" },
		func(c *config.Auth) { c.Verify.URL = "http://127.0.0.1:2/me" },
		func(c *config.Auth) { c.Verify = config.Verify{} },
		func(c *config.Auth) { c.Redis = config.Redis{} },
		func(c *config.Auth) { c.Redis.Password = "rotated" },
		func(c *config.Auth) { c.Certificate.User = "dns" },
		func(c *config.Auth) { c.Leeway = time.Hour },
	} {
		a, err := New(&is, quiet)
		if err != nil {
			t.Fatal(err)
		}
		with := is
		with.Secret = next
		change(&with)
		token := sign(t, jwt.SigningMethodHS256, []byte(next), jwt.MapClaims{"sub": "42",
			"exp": time.Now().Add(time.Hour).Unix()})
		before, _ := a.parse(token)
		if err := a.Reload(&with); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if after, err := a.parse(token); before.User != "" || after.User != "42" || a.Leeway() != 0 {
			t.Errorf("%d: %+v, then %+v, %v", i, before, after, err)
		}
	}
}

// TestReloadPolicy: what must hold of tokens is taken, also for those that are known to be good, and where
// the keys have a fault.
func TestReloadPolicy(t *testing.T) {
	ed := config.Auth{PublicKey: "", Issuer: "a"}
	public, private := testEd25519(t)
	ed.PublicKey = public
	a, err := New(&ed, quiet)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, jwt.SigningMethodEdDSA, private, jwt.MapClaims{"sub": "42", "iss": "a", "aud": "x", "role": "desk",
		"exp": time.Now().Add(time.Hour).Unix()})
	f := func(change func(*config.Auth), want error, fault string) {
		t.Helper()
		with := ed
		change(&with)
		text := ""
		if err := a.Reload(&with); err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, fault) || (text == "") != (fault == "") {
			t.Errorf("reload: %s", text)
		}
		for range 2 {
			if _, err := a.ParseToken(token); err != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	good := func(*config.Auth) {}
	f(good, nil, "")
	f(func(c *config.Auth) { c.Issuer = "b" }, errIssuer, "")
	f(good, nil, "")
	f(func(c *config.Auth) { c.Audience = "y" }, errAudience, "")
	f(func(c *config.Auth) { c.Audience = "x" }, nil, "")
	f(func(c *config.Auth) { c.RequiredClaims = map[string]string{"role": "boss"} }, errWanted, "")
	f(func(c *config.Auth) { c.RequiredClaims = map[string]string{"role": "desk"} }, nil, "")
	f(func(c *config.Auth) { c.UserPattern = "[a-z]+" }, errUserForm, "")
	f(good, nil, "")
	f(func(c *config.Auth) { c.MaxTokenLife = time.Minute }, errLife, "")
	f(good, nil, "")
	f(func(c *config.Auth) { c.PublicKey, c.Issuer = "junk", "b" }, errIssuer, "auth.public_key")
	f(func(c *config.Auth) { c.PublicKey = "junk" }, nil, "auth.public_key")
	f(func(c *config.Auth) { c.UserPattern, c.Issuer = "(", "b" }, nil, "auth.user_pattern")
}

// TestReloadRedis: another auth.redis is used at once, and so is another content of its files.
func TestReloadRedis(t *testing.T) {
	s, r, other := newService(t), newTable(t), newTable(t)
	a := r.sharing(s, config.Auth{})
	var log bytes.Buffer
	a.log = slog.New(slog.NewTextHandler(&log, nil))
	with := config.Auth{Verify: a.remote, Redis: config.Redis{Address: other.addr, Timeout: time.Second,
		Secret: "another secret of the gateways, of 32 bytes"}}
	if err := a.Reload(&with); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, testwait.Patience, "another Redis is asked", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return other.values["tapecast:token:probe"] == "" && len(other.values) > 0
	})
	file := filepath.Join(t.TempDir(), "ca.pem")
	with.Redis.TLS, with.Redis.CAFile = true, file
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(&with); err == nil || !strings.Contains(err.Error(), "auth.redis.ca_file") {
		t.Errorf("a file without certificates: %v", err)
	}
	for range 2 { // its content is read each time
		block := pem.Block{Type: "CERTIFICATE", Bytes: certificate(t, nil).Raw}
		if err := os.WriteFile(file, pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Reload(&with); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "auth.redis reloaded"); n != 3 {
		t.Errorf("connects anew %d times", n)
	}
}
