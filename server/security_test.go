package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// events are the lines of a security log.
func events(t *testing.T, file string) (out []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

// TestSecurityLog: which client was refused what, from where and why is in a file of its
// own, for its owner's eyes, without a token; and it is made again after it was moved
// away.
func TestSecurityLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "security.log")
	s := startServer(t, func(cfg *config.Config) {
		cfg.Log.Security, cfg.Limits.ConnectionsPerUser = file, 1
	})
	has := func(file, kind string, want map[string]string) {
		t.Helper()
		eventually(t, kind+" in the security log", func() bool {
			for _, e := range events(t, file) {
				fits := e["msg"] == kind && strings.HasPrefix(fmt.Sprint(e["remote"]), "127.0.0.1:")
				for k, v := range want {
					fits = fits && strings.Contains(fmt.Sprint(e[k]), v)
				}
				if fits {
					return true
				}
			}
			return false
		})
	}
	c := enter(t, s, "42")
	second := testToken(t, "42", time.Hour)
	connect(t, s, "?token="+second).until("-32009")
	has(file, "limit reached", map[string]string{"user": "42", "why": "connections_per_user"})
	connect(t, s, "?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl").until("-32002")
	has(file, "authentication failed", map[string]string{"why": "token"})
	c.send(`{"method":"subscribe","params":["orders:43"],"id":1}`)
	c.until(`"id":1`)
	has(file, "forbidden room", map[string]string{"user": "42", "room": "orders:43"})
	if code, _, _ := s.ask(t, "POST", "/publish", "{}", "Authorization",
		"Bearer wrong-"+testAdminToken); code/100 != 4 {
		t.Errorf("a wrong token: %d", code)
	}
	has(file, "internal port: refused", map[string]string{"why": "token", "path": "/publish"})

	text, _ := os.ReadFile(file)
	for _, secret := range []string{"eyJ", testAdminToken, second} {
		if strings.Contains(string(text), secret) {
			t.Errorf("a token in %s", text)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v %v", info.Mode(), err)
	}
	old := len(events(t, file))
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	s.ReopenLogs()
	eventually(t, "the file is there again", func() bool { _, err := os.Stat(file); return err == nil })
	c.send(`{"method":"subscribe","params":["orders:44"],"id":2}`)
	has(file, "forbidden room", map[string]string{"room": "orders:44"})
	if n := len(events(t, file+".1")); n != old {
		t.Errorf("the file that was moved away grew from %d to %d lines", old, n)
	}
}

// TestSecurityLogCannotBeOpened: the start names the key.
func TestSecurityLogCannotBeOpened(t *testing.T) {
	cfg := testConfig()
	cfg.Log.Security = filepath.Join(t.TempDir(), "no", "such", "directory")
	if _, err := New(cfg, quietLog()); err == nil || !strings.Contains(err.Error(), "cannot open log.security") {
		t.Errorf("got %v", err)
	}
}
