package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// TestSecurityLog: who was refused what, from where and why is in a file of its
// own, for its owner's eyes, without a token; and it is made again after it was moved
// away.
func TestSecurityLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "security.log")
	s := startServer(t, func(cfg *Config) {
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
	connect(t, s, "?token="+jwtLike).until("-32002")
	has(file, "authentication failed", map[string]string{"why": "token"})
	c.send(`{"method":"subscribe","params":["orders:43"],"id":1}`)
	c.until(`"id":1`)
	has(file, "forbidden room", map[string]string{"user": "42", "room": "orders:43"})
	if code, _, _ := s.ask(t, "POST", "/publish", "{}", "Authorization", "Bearer wrong-"+testAdminToken); code/100 != 4 {
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

// TestSecurityLogSamples: an address has five lines a second of a kind, all together
// have a bound, and the next line says how many had none.
func TestSecurityLogSamples(t *testing.T) {
	s := &securityLog{seen: map[securityKey]*securityPace{}}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	f := func(kind string, from netip.Addr, second int64, n, want, wantSpared int) {
		t.Helper()
		lines, spared := 0, 0
		for range n {
			m, ok := s.take(securityKey{kind, securityAddress(from)}, second)
			if ok {
				lines++
			}
			spared += m
		}
		if lines != want || spared != wantSpared {
			t.Errorf("%d lines that tell of %d others, want %d and %d", lines, spared, want, wantSpared)
		}
	}
	f("x", a, 1, 100, securityLines, 0)
	f("y", a, 1, 1, 1, 0)
	f("x", b, 1, 100, securityLines, 0)
	f("x", netip.MustParseAddr("2001:db8::2"), 1, 1, 0, 0) // the same host's network
	f("x", a, 2, 1, 1, 95)
	f("x", b, 2, 1, 1, 96)
	lines := 0
	for i := range 3 * securityKeys {
		if _, ok := s.take(securityKey{"x", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}, 3); ok {
			lines++
		}
	}
	if lines != securityAll || len(s.seen) > securityKeys {
		t.Errorf("%d lines in a second, and %d addresses are remembered", lines, len(s.seen))
	}
}

// TestSecurityLogCannotBeOpened: the start names the key.
func TestSecurityLogCannotBeOpened(t *testing.T) {
	cfg := testConfig()
	cfg.Log.Security = filepath.Join(t.TempDir(), "no", "such", "directory")
	if _, err := New(cfg, quietLog()); err == nil || !strings.Contains(err.Error(), "cannot open log.security") {
		t.Errorf("got %v", err)
	}
	var none *securityLog
	none.note("x", netip.Addr{}, slog.String("a", "b")) // a handler without one
}
