package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRedisFaults: what is wrong with auth.redis is said with the key and the remedy.
func TestRedisFaults(t *testing.T) {
	const by = "auth:\n  verify: {url: \"https://accounts.example.com/me\"}\n  redis: "
	const secret = "secret: " + testSecret
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(redis string, want ...string) {
		t.Helper()
		faultsOf(t, by+redis, want...)
	}
	f("{address: \"redis:6379\", " + secret + "}")
	f("{address: \"[::1]:6379\", " + secret + ", tls: true, user: t, password: p, database: 3, timeout: 1s}")
	f("{timeout: 200ms}")
	f("{address: redis, "+secret+"}", "c.yaml:3: auth.redis.address: is not a host:port; write one such as "+
		"redis.internal:6379")
	f("{address: \"redis:6379\"}", "c.yaml:3: auth.redis.secret: is not set, so that whoever can write to Redis could "+
		"make entries; put the same one on all nodes; make it with: openssl rand -base64 32")
	f("{address: \"redis:6379\", secret: short}", "c.yaml:3: auth.redis.secret: has 5 bytes, which can be "+
		"guessed; make one of 32 or more with: openssl rand -base64 32")
	f("{address: \"redis:6379\", timeout: 2s, "+secret+"}", "c.yaml:3: auth.redis.timeout: 2s is not within 1ms and "+
		"1s; write 100ms, or remove the line for that")
	f("{address: \"redis:6379\", user: u, "+secret+"}", "c.yaml:3: auth.redis.password: is not set, and a user has "+
		"one; set auth.redis.password_file, or remove auth.redis.user")
	f("{address: \"redis:6379\", ca_file: /x, "+secret+"}", "c.yaml:3: auth.redis.ca_file: is of no use without "+
		"TLS; set auth.redis.tls, or remove the line")
	f("{address: \"redis:6379\", tls: true, ca_file: "+junk+", "+secret+"}", "c.yaml:3: auth.redis.ca_file: "+junk+
		" holds no certificate; name a file with certificates in PEM")
	faultsOf(t, "auth: {secret: "+testSecret+", redis: {address: \"redis:6379\", secret: x"+testSecret+"}}",
		"c.yaml:1: auth.redis.address: nothing is shared without auth.verify: a signature is checked sooner than "+
			"Redis is asked; set auth.verify.url, or remove auth.redis")
	faultsOf(t, "auth: {secret: "+testSecret+", verify: {url: \"https://a.example/me\"}, redis: "+
		"{address: \"redis:6379\", secret: "+testSecret+"}}", "c.yaml:1: auth.redis.secret: is auth.secret too, which "+
		"those who sign tokens know; make another one with: openssl rand -base64 32")
}

// TestRedisSources: secrets come from files, keys from the environment, and what follows from them.
func TestRedisSources(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"s": testSecret + "\n", "p": "pass\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o604); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(Sources{Environ: []string{"TAPECAST_AUTH_VERIFY_URL=https://a.example/me",
		"TAPECAST_AUTH_REDIS_ADDRESS=redis.example:6379", "TAPECAST_AUTH_REDIS_SECRET_FILE=" + filepath.Join(dir, "s"),
		"TAPECAST_AUTH_REDIS_PASSWORD_FILE=" + filepath.Join(dir, "p"), "TAPECAST_AUTH_REDIS_USER=u",
		"TAPECAST_AUTH_REDIS_DATABASE=2", "TAPECAST_AUTH_REDIS_TIMEOUT=50ms"}})
	if err != nil {
		t.Fatal(err)
	}
	of, err := cfg.Auth.Shared()
	if err != nil || of.Address != "redis.example:6379" || string(of.Secret) != testSecret || of.Password != "pass" ||
		of.User != "u" || of.Database != 2 || of.Timeout != 50*time.Millisecond || of.TLS != nil ||
		of.Skew != 30*time.Second {
		t.Errorf("%+v, %v", of, err)
	}
	all := strings.Join(cfg.Warnings(), "\n")
	for _, want := range []string{"auth.redis: its password goes over the network in the clear",
		"auth.redis.secret_file: every user",
		"auth.redis.password_file: every user"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in\n%s", want, all)
		}
	}
	cfg.Auth.Redis.TLS = true
	secure, err := cfg.Auth.Shared()
	if err != nil || secure.TLS == nil || secure.TLS.ServerName != "redis.example" || cfg.Auth.Redis.open() != "" {
		t.Errorf("%+v, %v", secure.TLS, err)
	}
	cfg.Auth.Verify.User = "id"
	if other, _ := cfg.Auth.Shared(); other.Scope == of.Scope {
		t.Error("answers that are read otherwise are shared")
	}
}

// TestConnectRedis: check --connect says what is wrong with Redis.
func TestConnectRedis(t *testing.T) {
	cfg := Default()
	cfg.Auth.Redis.Address, cfg.Auth.Redis.Secret = "127.0.0.1:1", testSecret
	var said []string
	if n := cfg.Connect(context.Background(), func(line string) { said = append(said, line) }); n != 1 ||
		!strings.HasPrefix(said[0], "fault: auth.redis: 127.0.0.1:1: cannot look up: dial tcp 127.0.0.1:1: ") {
		t.Errorf("%d faults: %q", n, said)
	}
}
