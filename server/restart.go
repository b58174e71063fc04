package server

import (
	"slices"
	"strings"

	"tapecast/server/config"
)

// reloaded are the keys that SIGHUP takes, or sections of them. What others name takes a restart.
var reloaded = []string{"log.level",
	"auth.secret", "auth.secret_file", "auth.public_key", "auth.public_key_file", "auth.keys",
	"auth.private_key_file", // the gateway never reads it
	"auth.issuer", "auth.audience", "auth.required_claims", "auth.user_pattern", "auth.max_token_life",
	"auth.services", "auth.redis", "allow", "anonymous", "limits.tiers",
	"server.tls.cert_file", "server.tls.key_file", "server.tls.min_version", "server.tls.policy",
	"server.tls.cipher_suites", "server.tls.client_ca_file",
	"admin.tls", "admin.token_file"}

// NeedRestart returns the keys that have other values in a configuration than in that of the start, and
// that SIGHUP does not take.
func (s *Server) NeedRestart(fresh *config.Config) []string {
	return slices.DeleteFunc(config.Changed(s.cfg, fresh), func(key string) bool {
		switch {
		case key == "auth.redis.address" && (s.cfg.Auth.Redis.Address == "" || fresh.Auth.Redis.Address == ""):
			return false // Cache is one of the services, or not
		case key == "server.tls.client_ca_file" && fresh.Server.TLS.ClientAuth != s.cfg.Server.TLS.ClientAuth:
			return true // client_auth is named
		}
		if name, of := strings.CutPrefix(key, "limits."); of && config.IsTierKey(name) {
			return true
		}
		return slices.ContainsFunc(reloaded, func(of string) bool {
			return key == of || strings.HasPrefix(key, of+".")
		})
	})
}
