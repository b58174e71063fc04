package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestNeedRestart: what SIGHUP does not take is named, and nothing else.
func TestNeedRestart(t *testing.T) {
	f := func(was, is func(*config.Config), want ...string) {
		t.Helper()
		a, b := config.Default(), config.Default()
		was(a)
		is(b)
		s := &Server{cfg: a}
		if got := s.NeedRestart(b); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	plain := func(*config.Config) {}
	f(plain, plain)
	f(plain, func(c *config.Config) {
		a := &c.Auth
		a.Secret, a.SecretFile, a.PublicKey, a.PublicKeyFile, a.PrivateKeyFile = "a", "b", "c", "d", "e"
		a.Keys = []config.AuthKey{{KID: "a"}}
		a.Issuer, a.Audience, a.UserPattern, a.MaxTokenLife = "a", "b", "c", time.Hour
		a.RequiredClaims = map[string]string{"a": ""}
		a.Services, c.Allow = config.Conditions{"a": {"b"}}, map[string]config.Conditions{"prices": {"a": {"b"}}}
		c.Anonymous.Rooms, c.Anonymous.Connections = []string{"prices"}, 7
		c.Log.Level, c.Admin.TokenFile, c.Admin.TLS.CertFile = "debug", "a", "b"
		c.Server.TLS.CertFile, c.Server.TLS.KeyFile, c.Server.TLS.Policy = "a", "b", "modern"
		c.Limits.ConnectionsPerUser, c.Limits.Tiers = 7, map[string]config.Tier{"pro": {}}
	})
	f(plain, func(c *config.Config) {
		c.Auth.Leeway, c.Auth.JWKSURL, c.Auth.JWKSRefresh = time.Hour, "a", time.Hour
		c.Auth.Verify, c.Auth.Certificate.User, c.Auth.MaxSession = config.Verify{URL: "a"}, "cn", time.Hour
		c.Auth.Origins, c.Auth.Revocations, c.Auth.QueryToken = []string{"a"}, "b", !c.Auth.QueryToken
		c.Limits.Connections, c.Limits.Claim, c.Kafka.Brokers = 7, "a", []string{"b"}
		c.Server.TLS.ClientAuth, c.Server.TLS.ClientCAFile, c.Log.Format = "optional", "a", "json"
	}, "server.tls.client_auth", "log.format", "auth.jwks_url", "auth.jwks_refresh", "auth.origins",
		"auth.query_token", "auth.revocations", "auth.max_session", "auth.leeway", "auth.certificate.user",
		"auth.verify.url", "auth.verify.timeout", "limits.connections", "limits.claim", "kafka.brokers")
	redis := func(address string, password config.Secret) func(*config.Config) {
		return func(c *config.Config) { c.Auth.Redis.Address, c.Auth.Redis.Password = address, password }
	}
	f(redis("a", "b"), redis("c", "d"))
	f(redis("a", "b"), redis("a", "rotated"))
	f(redis("a", "b"), redis("", "b"), "auth.redis.address")
	f(redis("", ""), redis("a", "b"), "auth.redis.address")
}

// TestPartStops: a part of a service that does not end holds its stop up no longer than the deadline.
func TestPartStops(t *testing.T) {
	var b background
	if err := b.stop(t.Context()); err != nil {
		t.Errorf("one that does not run: %v", err)
	}
	hangs := make(chan struct{})
	b.start(func(context.Context) { <-hangs })
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.stop(late); !errors.Is(err, context.Canceled) {
		t.Errorf("one that hangs: %v", err)
	}
	close(hangs)
	if err := b.stop(t.Context()); err != nil {
		t.Errorf("one that ends: %v", err)
	}
}
