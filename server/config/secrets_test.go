package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapecast/server/logging"
)

func TestFilesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hs256", testSecret+"\n")
	write("pass", "pa ss\r\n")
	write("c.yaml", "auth: {secret_file: hs256, private_key_file: p.pem}\nkafka: {sasl_password_file: pass, "+
		"librdkafka: {sasl.username: u, sasl.mechanism: PLAIN, security.protocol: SASL_SSL}}\n")
	// Names in the file are relative to it; those of the environment to the working directory.
	cfg, err := Load(Sources{File: filepath.Join(dir, "c.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if string(cfg.Auth.Secret) != testSecret {
		t.Errorf("the secret has %d bytes", len(cfg.Auth.Secret))
	}
	if p := cfg.Kafka.Librdkafka["sasl.password"]; p != "pa ss" {
		t.Errorf("the password is %q", p)
	}
	if want := filepath.Join(dir, "p.pem"); cfg.Auth.PrivateKeyFile != want {
		t.Errorf("the private key is at %q, want %q", cfg.Auth.PrivateKeyFile, want)
	}
	cfg, err = Load(Sources{Environ: []string{"TAPECAST_AUTH_SECRET_FILE=" + filepath.Join(dir, "hs256"),
		"TAPECAST_KAFKA_SASL_PASSWORD_FILE=" + filepath.Join(dir, "pass"), "TAPECAST_KAFKA_LIBRDKAFKA_SASL_USERNAME=u",
		"TAPECAST_KAFKA_LIBRDKAFKA_SECURITY_PROTOCOL=sasl_plaintext",
		"TAPECAST_KAFKA_LIBRDKAFKA_SASL_MECHANISM=SCRAM-SHA-256"}})
	if err != nil || string(cfg.Auth.Secret) != testSecret || cfg.Kafka.Librdkafka["sasl.password"] != "pa ss" {
		t.Errorf("from the environment: %v", err)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s := Secret("hush")
	cfg := Default()
	cfg.Auth.Secret = s
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v %#v", cfg.Auth, cfg.Auth),
		s.LogValue().String(), func() string { b, _ := s.MarshalText(); return string(b) }(),
	} {
		if strings.Contains(got, "hush") || !strings.Contains(got, logging.Redacted) {
			t.Errorf("printed as %s", got)
		}
	}
	if Secret("").String() != "" {
		t.Error("no secret must print as none")
	}
}
