package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: whatever is in the file, Load neither panics nor fails without
// faults that have a source and a remedy.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "server: {listen: x}", "classes: {market: &m {conflate: true}, b: {<<: *m}}",
		"rooms:\n- {match: a, class: b}\n-\n",
		"kafka: {brokers: [a], librdkafka: {a.b: 1}}", designExample, "a: *b", "? {}\n: []", "&a [*a]",
		"classes: &a {x: *a, <<: *a}",
		"ingest: {routes: [{topic: t, rooms: [\"prices:{s}\"], match: {a.b: c}}]}", "auto_join: [\"%d%s{sub}\"]",
		"log: !!binary aGk=\n", "---\n---\n",
		`auth: {jwks_url: "https://a/k", jwks_refresh: 1s, verify: {url: "https://a", user: a.b}, revocations: r,
  keys: [{kid: a, secret: b, algorithms: [HS256]}], required_claims: {a: ""}, services: {scope: [s]},
  origins: ["https://*.a"], user_pattern: "[a-z]+"}
allow: {"desk:*": {role: [desk]}}`,
		`limits: {claim: t, tiers: {pro: {burst: 1}, "": {}}}
anonymous: {rooms: [a], connections: 1}`,
		`server: {listen: ":1", tls: {cert_file: a, key_file: b},
  proxy: {trusted: [10.0.0.0/8], http: {trusted: ["::1"]}}}`,
	} {
		f.Add([]byte(seed), "TAPECAST_LOG_LEVEL=debug")
	}
	for _, env := range []string{"TAPECAST_", "TAPECAST_CLASSES_B_KEEP=1", "TAPECAST_KAFKA_LIBRDKAFKA_A_B=%s",
		"TAPECAST_AUTO_JOIN=,,", "TAPECAST_KAFKA_LIBRDKAFKA__=x"} {
		f.Add([]byte("classes: {b: {}, \"\": {}}"), env)
	}
	file := filepath.Join(f.TempDir(), "c.yaml")
	f.Fuzz(func(t *testing.T, text []byte, env string) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(Sources{File: file, Environ: []string{env}})
		if cfg == nil {
			t.Fatal("no configuration")
		}
		if err == nil {
			if _, err := cfg.Catalog(); err != nil {
				t.Fatalf("passes the check, but makes no catalog: %s", err)
			}
			return
		}
		for _, x := range err.(Faults) {
			if x.At == "" || x.Msg == "" {
				t.Fatalf("a fault without source or text: %+v", x)
			}
		}
	})
}
