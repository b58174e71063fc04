package config

import (
	"maps"
	"testing"
	"time"
)

// TestRequiredClaims: names of claims may be URLs.
func TestRequiredClaims(t *testing.T) {
	cfg := mustLoad(t, "auth: {secret: "+testSecret+", "+
		"required_claims: {'https://a.example/role': admin, scope: ''}, max_token_life: 24h}")
	want := map[string]string{"https://a.example/role": "admin", "scope": ""}
	if !maps.Equal(cfg.Auth.RequiredClaims, want) || cfg.Auth.MaxTokenLife != 24*time.Hour {
		t.Errorf("%v, %s", cfg.Auth.RequiredClaims, cfg.Auth.MaxTokenLife)
	}
}
