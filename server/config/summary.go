package config

import (
	"fmt"
	"slices"
	"strings"
)

// Summary returns the configuration in one line of counts, for `tapecast check`.
func (cfg *Config) Summary() string {
	var parts []string
	add := func(n int, one, many string) {
		if n == 1 {
			many = one
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, many))
	}
	if cfg.Demo() {
		parts = append(parts, "embedded broker")
	} else {
		add(len(cfg.Kafka.Brokers), "broker", "brokers")
	}
	routes, topics := cfg.Routes(), map[string]bool{}
	for _, r := range routes {
		topics[r.Topic] = true
	}
	add(len(routes), "route", "routes")
	parts[len(parts)-1] += fmt.Sprintf(" from %d topics", len(topics))
	add(len(cfg.Rooms), "room pattern", "room patterns")
	add(len(cfg.Classes), "class", "classes")
	add(len(cfg.AutoJoin), "room joined automatically", "rooms joined automatically")
	var keys []string
	of, _, _ := cfg.Auth.ReadKeys()
	for i := range of {
		if first := of[i].Algorithms[0]; !slices.Contains(keys, first) {
			keys = append(keys, first)
		}
	}
	if cfg.Auth.JWKSURL != "" {
		keys = append(keys, "JWKS")
	}
	if cfg.Auth.Verify.URL != "" {
		keys = append(keys, "auth.verify")
	}
	if cfg.Auth.Certificate.On() {
		keys = append(keys, "certificates")
	}
	if len(keys) == 0 {
		keys = append(keys, "demo key")
	}
	return strings.Join(append(parts, strings.Join(keys, " and ")), ", ")
}
