package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"tapecast/server/config"
)

// demo starts the gateway as a new user does, but on ports that the kernel chooses.
func demo(t *testing.T, config string, args ...string) *process {
	t.Helper()
	return begin(t, nil,
		append([]string{"run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config",
			write(t, config)}, args...)...)
}

// The commands that a new user is told to paste work.
func TestRunDemo(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	profile := filepath.Join(t.TempDir(), "cpu")
	p := begin(t, []string{"TAPECAST_SERVER_DRAIN=100ms", "TAPECAST_LOG_FORMAT=json"},
		"run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cpuprofile", profile)
	p.says(&p.stdout, "Ctrl-C stops it.")
	out := p.stdout.String()
	m := regexp.MustCompile(`tapecast (watch --url (ws://\S+) --token (\S+))\n`).FindStringSubmatch(out)
	if m == nil || !strings.Contains(out, "\n"+m[3]+"\n") || !strings.Contains(out, "demo.secret") {
		t.Fatalf("prints %s", out)
	}
	w := begin(t, nil, append(strings.Fields(m[1]), "--count", "3")...)
	w.ends(0)
	if s := w.stdout.String(); !strings.Contains(s, `"authenticated"`) || !strings.Contains(s, `"auto_subscribed"`) ||
		!strings.Contains(s, `"orders:42"`) {
		t.Errorf("the client gets %s", s)
	}
	// A token of the token command is accepted too.
	tok := begin(t, nil, "token", "--user", "7")
	tok.ends(0)
	w = begin(t, nil, "watch", "--url", m[2], "--token", strings.TrimSpace(tok.stdout.String()), "--count", "2")
	w.ends(0)

	published(t, out)
	p.signals <- syscall.SIGHUP
	p.says(&p.stderr, "log level reloaded")
	p.signals <- syscall.SIGTERM
	p.ends(0)
	if s := p.stderr.String(); strings.Contains(s, m[3]) || strings.Contains(s, "eyJ") {
		t.Error("the log holds a token")
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("no profile: %v", err)
	}
}

// published runs the command that the demo prints for publishing.
func published(t *testing.T, said string) {
	t.Helper()
	m := regexp.MustCompile(`curl (http://\S+/publish) -H "Authorization: Bearer \$\(cat '(\S+)'\)" \\\n` +
		`  -d '(.+)'\n`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("prints %s", said)
	}
	token, err := os.ReadFile(m[2])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(m[2]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v %v", m[2], info.Mode(), err)
	}
	for bearer, code := range map[string]int{string(token): 200, "": 401} {
		r, err := http.NewRequest("POST", m[1], strings.NewReader(m[3]))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != code {
			t.Errorf("publish: %d, want %d", resp.StatusCode, code)
		}
	}
}

// The demo's token is for runs without configuration that only this machine reaches.
func TestDemoWritesNotElsewhere(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	f := func(file, listen string, want bool) {
		t.Helper()
		cfg := config.Default()
		cfg.Admin.Listen = listen
		kept, err := demoWrites(cfg, file)
		if err != nil || (kept != "") != want || cfg.Admin.Write != want {
			t.Errorf("%q %s: %q %v %v", file, listen, kept, cfg.Admin.Write, err)
		}
	}
	f("", "127.0.0.1:8081", true)
	f("", "0.0.0.0:8081", false)
	f("c.yaml", "127.0.0.1:8081", false)
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	f := func(first, second syscall.Signal, code int) {
		t.Helper()
		p := demo(t, "server: {drain: 1s}\nauth: {secret: "+key+"}\n")
		p.says(&p.stdout, "the configured key")
		p.signals <- first
		p.says(&p.stderr, "stopping")
		p.signals <- second
		if got := <-p.exits; got != code {
			t.Errorf("would end with %d, want %d", got, code)
		}
		p.ends(0)
	}
	f(syscall.SIGTERM, syscall.SIGINT, 130)
	f(syscall.SIGINT, syscall.SIGTERM, 143)
}

// A signal while the gateway starts also ends it.
func TestSignalBeforeUp(t *testing.T) {
	p := demo(t, "server: {drain: 100ms}\nauth: {secret: "+key+"}\n")
	p.signals <- syscall.SIGTERM
	p.ends(0)
}

// A signal does not wait for a configuration that cannot be read: a pipe without a writer, or
// a disk that hangs.
func TestSignalBeforeConfiguration(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "c.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(s syscall.Signal, code int, args ...string) *process {
		t.Helper()
		p := begin(t, []string{"TAPECAST_CONFIG=" + pipe}, args...)
		p.signals <- s
		p.ends(code)
		return p
	}
	p := f(syscall.SIGTERM, 0, "run")
	p.says(&p.stderr, "stopped before it was up")
	f(syscall.SIGINT, 0, "run", "--config", pipe)
	f(syscall.SIGTERM, 143, "check")
	f(syscall.SIGINT, 130, "token", "--user", "42")
	f(syscall.SIGHUP, 129, "watch")
}

func TestReloadNamesFaults(t *testing.T) {
	file := write(t, "server: {drain: 100ms}\nauth: {secret: "+key+"}\n")
	p := begin(t, nil, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", file)
	p.says(&p.stdout, "Ctrl-C")
	if err := os.WriteFile(file, []byte("log: {level: loud}"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signals <- syscall.SIGHUP
	p.says(&p.stderr, "cannot reload")
	p.signals <- syscall.SIGTERM
	p.ends(0)
}

func TestRunCannotListen(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	p := begin(t, nil, "run", "--listen", "256.0.0.1:1", "--admin", "127.0.0.1:0")
	p.ends(1)
	p.says(&p.stderr, "256.0.0.1:1")
}
