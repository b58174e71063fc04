package config

import (
	"slices"
	"testing"
	"time"
)

// TestChanged: the keys with other values are named, whatever their kind.
func TestChanged(t *testing.T) {
	f := func(change func(*Config), want ...string) {
		t.Helper()
		cfg := Default()
		change(cfg)
		if got := Changed(Default(), cfg); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(func(*Config) {})
	f(func(c *Config) { c.Auth.RequiredClaims, c.Kafka.Brokers = nil, []string{} })
	f(func(c *Config) { c.Auth.Leeway += time.Second }, "auth.leeway")
	f(func(c *Config) { c.Auth.Redis.Password = "x" }, "auth.redis.password")
	f(func(c *Config) { c.Server.Proxy.HTTP.Header = "x" }, "server.proxy.http.header")
	f(func(c *Config) { c.AutoJoin = []string{"x"} }, "auto_join")
	f(func(c *Config) { c.Kafka.Librdkafka = map[string]string{"a": "b"} }, "kafka.librdkafka")
	f(func(c *Config) {
		c.Classes["x"], c.Auth.Verify.URL, c.Server.Listen = Class{}, "y", "z"
	}, "server.listen", "auth.verify.url", "classes")
	f(func(c *Config) { c.Auth.heldIn = "x" })
}
