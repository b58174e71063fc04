package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestExpirySoon: health warns in the last two weeks, or in the last quarter of a short life.
func TestExpirySoon(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	f := func(life, left time.Duration, want bool) {
		t.Helper()
		e := expiry{begin: now.Add(left - life), end: now.Add(left)}
		if got := e.soon(now); got != want {
			t.Errorf("with %s of %s left: %v", left, life, got)
		}
	}
	f(90*day, 15*day, false)
	f(90*day, 13*day, true)
	f(day, 7*time.Hour, false)
	f(day, 5*time.Hour, true)
	f(90*day, -day, true)
}

// TestExpiryInHealth: health names what expires, and figures say when.
func TestExpiryInHealth(t *testing.T) {
	ca := newAuthority(t, "clients' root", 100*time.Hour)
	s := startServer(t, func(cfg *config.Config) {
		cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour)
		cfg.Server.TLS.ClientAuth, cfg.Server.TLS.ClientCAFile = "optional", ca.file
		files := makeCert(t, t.TempDir(), 1, -time.Hour)
		text, err := os.ReadFile(files.CertFile)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Auth.Keys = append(cfg.Auth.Keys, config.AuthKey{KID: "old", PublicKey: string(text)})
	})
	health := func(want ...string) {
		t.Helper()
		eventually(t, strings.Join(want, ", "), func() bool {
			code, _, text := s.ask(t, "GET", "/health", "")
			for _, w := range want {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return code == 200 && strings.Contains(text, `"status":"degraded"`)
		})
	}
	health("certificate_expires: server.tls expires: ", "put a new one into its file, then send SIGHUP",
		`key_expires: auth (kid \"old\") has expired: `, "tokens are checked with it all the same")
	if _, _, text := s.ask(t, "GET", "/health", ""); strings.Contains(text, "root") {
		t.Errorf("a certificate that lives for long is named: %s", text)
	}
	for of, want := range map[string]string{"server.tls": "35", "server.tls.client_ca_file": "3599", "auth": "-36"} {
		s.get(t, "/metrics", "\ntapecast_expires_in_seconds{of=\""+of+"\"} "+want)
	}
	makeCert(t, filepath.Dir(s.cfg.Server.TLS.CertFile), 2, 90*24*time.Hour)
	if err := s.ReloadCertificate(s.cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a certificate that is well", func() bool {
		_, _, text := s.ask(t, "GET", "/health", "")
		return !strings.Contains(text, `"detail":"certificate_expires`) && strings.Contains(text, "key_expires")
	})
}
