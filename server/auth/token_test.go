package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/server/auth/keyset"
	"tapecast/server/config"
)

// pemFiles writes a new key pair; each call makes another.
func pemFiles(t *testing.T) (public, private string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pubDER, _ := x509.MarshalPKIXPublicKey(pub)
	privDER, _ := x509.MarshalPKCS8PrivateKey(priv)
	dir := t.TempDir()
	public, private = filepath.Join(dir, "public.pem"), filepath.Join(dir, "private.pem")
	os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pubDER}), 0o600)
	os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privDER}), 0o600)
	return public, private
}

// What MintToken makes, the same configuration accepts.
func TestMintedTokensAreAccepted(t *testing.T) {
	public, private := pemFiles(t)
	f := func(auth, user string, useEd25519 bool, alg string) {
		t.Helper()
		cfg := loaded(t, "auth: {"+auth+"}")
		token, err := MintToken(cfg, user, time.Hour, useEd25519)
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(&cfg.Auth, quiet)
		if err != nil {
			t.Fatal(err)
		}
		id, err := a.ParseToken(token)
		if err != nil || id.User != user || time.Until(time.Unix(id.Expires, 0)) < 59*time.Minute {
			t.Errorf("%+v, %v", id, err)
		}
		if !strings.HasPrefix(token,
			map[string]string{"HS256": "eyJhbGciOiJIUzI1NiI", "EdDSA": "eyJhbGciOiJFZERTQSI"}[alg]) {
			t.Errorf("not signed with %s: %s", alg, token)
		}
	}
	secret, keys := "secret: "+testSecret, "public_key_file: "+public+", private_key_file: "+private
	f(secret, "42", false, "HS256")
	f(secret+", issuer: us, audience: them", "alice", false, "HS256")
	f(keys, "42", false, "EdDSA")
	f(keys+", issuer: us, audience: them", "42", true, "EdDSA")
	f(secret+", "+keys, "42", false, "HS256")
	f(secret+", "+keys, "42", true, "EdDSA")
}

func TestMintRefuses(t *testing.T) {
	public, private := pemFiles(t)
	_, other := pemFiles(t)
	f := func(auth, user string, ttl time.Duration, useEd25519 bool, want string) {
		t.Helper()
		_, err := MintToken(loaded(t, "auth: {"+auth+"}"), user, ttl, useEd25519)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	secret := "secret: " + testSecret
	f(secret, "", time.Hour, false, "cannot make a token")
	f(secret, "a b", time.Hour, false, "white space")
	f(secret, "42", 0, false, "give a time such as 1h")
	f("", "42", time.Hour, false, "set auth.secret")
	f(secret, "42", time.Hour, true, "set auth.private_key_file")
	f("public_key_file: "+public, "42", time.Hour, false, "auth.private_key_file")
	f("private_key_file: "+private, "42", time.Hour, true, "not the private half")
	f("public_key_file: "+public+", private_key_file: "+other, "42", time.Hour, false, "not the private half")
	f("public_key_file: "+public+", private_key_file: /nowhere", "42", time.Hour, false,
		"cannot read auth.private_key_file")
	f("public_key_file: "+public+", private_key_file: "+public, "42", time.Hour, false, "holds no Ed25519 private key")
	f("public_key_file: "+public+", private_key_file: "+os.Args[0], "42", time.Hour, false, "larger than")
	text := filepath.Join(t.TempDir(), "text")
	os.WriteFile(text, []byte("hello"), 0o600)
	f("public_key_file: "+public+", private_key_file: "+text, "42", time.Hour, false, "holds no key in PEM form")
	cfg := config.Default()
	cfg.Auth.PublicKey, cfg.Auth.PrivateKeyFile = "junk", private
	if _, err := MintToken(cfg, "42", time.Hour, true); err == nil ||
		!strings.Contains(err.Error(), "auth.public_key: the key is not in PEM form") {
		t.Errorf("got %v", err)
	}
}

func TestDemoSecretIsKept(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	// However many begin at once, they agree.
	secrets := make([]config.Secret, 8)
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			s, _, err := DemoSecret()
			if err != nil {
				t.Error(err)
			}
			secrets[i] = s
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if s != secrets[0] || len(s) < keyset.MinSecret {
			t.Fatalf("%d bytes, and not the same for all", len(s))
		}
	}
	s, file, err := DemoSecret()
	if err != nil || s != secrets[0] || file != filepath.Join(home, "tapecast", "demo.secret") {
		t.Fatalf("again: %s, %v", file, err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %s", info.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
	os.WriteFile(file, []byte("short"), 0o600)
	if _, _, err := DemoSecret(); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a spoilt one: %v", err)
	}
}

// The broker's address is kept for its user alone; the newest demo's word holds, and only
// its own does a demo take back.
func TestKeepDemoBroker(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	file := filepath.Join(home, "tapecast", "demo.broker")
	first, err := KeepDemoBroker("127.0.0.1:8080", []string{"127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := KeepDemoBroker("127.0.0.1:8090", []string{"127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	first()
	const want = `{"brokers":["127.0.0.1:2"],"listen":"127.0.0.1:8090"}`
	if b, err := os.ReadFile(file); string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %s", info.Mode())
	}
	second()
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
		t.Errorf("files left behind: %v", left)
	}
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "none"))
	if err := os.WriteFile(filepath.Join(home, "none"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeepDemoBroker("127.0.0.1:8080", nil); err == nil {
		t.Error("it was kept although there is no directory")
	}
}

func TestDemoSecretWithoutHome(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "")
	a, file, err := DemoSecret()
	b, _, _ := DemoSecret()
	if err != nil || file != "" || len(a) < keyset.MinSecret || a == b {
		t.Errorf("%s, %v", file, err)
	}
	// A directory that cannot be written is a fault, since tokens would not fit.
	blocked := filepath.Join(t.TempDir(), "file")
	os.WriteFile(blocked, nil, 0o600)
	t.Setenv("XDG_CONFIG_HOME", blocked)
	if _, _, err := DemoSecret(); err == nil || !strings.Contains(err.Error(), "set auth.secret instead") {
		t.Errorf("blocked: %v", err)
	}
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "tapecast", "demo.secret"), 0o700)
	t.Setenv("XDG_CONFIG_HOME", dir)
	if _, _, err := DemoSecret(); err == nil || !strings.Contains(err.Error(), "set auth.secret instead") {
		t.Errorf("a directory in its place: %v", err)
	}
}

// TestDemoAdminToken: it is made once, for its user alone, and is one that the port takes.
func TestDemoAdminToken(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	file, err := DemoAdminToken()
	if err != nil {
		t.Fatal(err)
	}
	first, err := config.ReadAdminToken(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	again, _ := DemoAdminToken()
	if second, err := config.ReadAdminToken(again); err != nil || second != first {
		t.Errorf("another one: %v", err)
	}
	if secret, _, _ := DemoSecret(); string(secret) == "" {
		t.Error("no secret beside it")
	} else if b, _ := os.ReadFile(file); string(b) == string(secret) {
		t.Error("it is the secret")
	}
}

// loaded is a configuration that a file would make.
func loaded(t *testing.T, text string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
