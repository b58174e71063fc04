package config

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tapecast/server/logging"
)

// TestSecurityLogChecked: a file that cannot be opened is a fault that names its key, and
// the check makes none.
func TestSecurityLogChecked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "there")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(name, why string) {
		t.Helper()
		var want []string
		if name = filepath.Join(dir, name); why != "" {
			want = append(want, "c.yaml:1: log.security: cannot open "+name+": "+why+
				"; name a file that this user can write, in a directory that is there")
		}
		faultsOf(t, "log: {security: "+name+"}", want...)
	}
	f("there", "")
	f("new", "")
	f("pipe", "")
	f("", "is a directory")
	f("none/new", "no such file or directory")
	f("there/new", "not a directory")
	faultsOf(t, "log: {security: stderr}")
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
		t.Errorf("the check left %q", names)
	}
	if text, _ := os.ReadFile(file); string(text) != "kept" {
		t.Errorf("the file holds %q", text)
	}
}

// A log has no secret, whatever of a configuration is logged.
func TestSecretsAreNotLogged(t *testing.T) {
	cfg := Default()
	cfg.Auth.Secret = "s3cr3t-opaque-value"
	for _, format := range []string{"json", "text"} {
		var buf bytes.Buffer
		log, _ := logging.New(&buf, slog.LevelInfo, format)
		log.Info("x", "cfg", cfg.Auth)
		if s := buf.String(); strings.Contains(s, "s3cr3t") || !strings.Contains(s, logging.Redacted) {
			t.Errorf("written: %s", s)
		}
	}
}
