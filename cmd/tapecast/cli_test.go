package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// process is one command line that runs within the test.
type process struct {
	t       *testing.T
	stdout  output
	stderr  output
	signals chan os.Signal
	exits   chan int // codes with which the process would have ended at once
	done    chan int
}

// output is a stream that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// begin starts a command line with an environment of its own.
func begin(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, signals: make(chan os.Signal, 4), exits: make(chan int, 4), done: make(chan int, 1)}
	e := &env{
		name: "tapecast", environ: environ, stdout: &p.stdout, stderr: &p.stderr,
		signals: p.signals, exit: func(code int) { p.exits <- code },
	}
	go func() { p.done <- execute(e, args) }()
	return p
}

// ends waits for the exit code.
func (p *process) ends(code int) {
	p.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case got := <-p.done:
		if got != code {
			p.t.Fatalf("exit code %d, want %d\n%s%s", got, code, p.stdout.String(), p.stderr.String())
		}
	case <-late.C:
		p.t.Fatalf("does not end\n%s%s", p.stdout.String(), p.stderr.String())
	}
}

// says waits until a stream holds a text.
func (p *process) says(o *output, text string) {
	p.t.Helper()
	if testwait.Holds(time.Minute, func() bool { return strings.Contains(o.String(), text) || len(p.done) > 0 }) &&
		strings.Contains(o.String(), text) {
		return
	}
	p.t.Fatalf("never says %q; has it ended: %v\n%s%s", text, len(p.done) > 0, p.stdout.String(), p.stderr.String())
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const key = "0123456789abcdef0123456789abcdef"

func TestCheckCommand(t *testing.T) {
	f := func(text string, environ []string, code int, stdout, stderr string) {
		t.Helper()
		file := write(t, text)
		p := begin(t, environ, "check", "--config", file)
		p.ends(code)
		if got := strings.ReplaceAll(p.stderr.String(), file, "c.yaml"); p.stdout.String() != stdout || got != stderr {
			t.Errorf("says %s and %s", p.stdout.String(), got)
		}
	}
	f("auth: {secret: "+key+"}", nil, 0,
		"configuration ok: embedded broker, 8 routes from 5 topics, 11 room patterns, 6 classes, 7 rooms joined "+
			"automatically, HS256\n", "")
	f("log: {levl: x}\n\nadmin: {pprof: 7}", []string{"TAPECAST_LOG_FORMAT=xml"}, 1, "",
		"c.yaml:1: log.levl: unknown key; did you mean log.level?\n"+
			"c.yaml:3: admin.pprof: cannot take 7; write true or false\n"+
			"TAPECAST_LOG_FORMAT: log.format: \"xml\" is unknown; use one of auto, text, json\n"+
			"tapecast: the configuration has 3 faults\n")
	f("kafka: {librdkafka: {fetch.wait.max.mss: 1}}", nil, 1, "",
		"c.yaml:1: kafka.librdkafka.fetch.wait.max.mss: is not a property of librdkafka; did you mean "+
			"fetch.wait.max.ms?\n"+
			"tapecast: the configuration has 1 fault\n")
	f("kafka: {librdkafka: {fetch.max.bytes: 5}}", nil, 1, "",
		"c.yaml:1: kafka.librdkafka.fetch.max.bytes: librdkafka refuses it: `fetch.max.bytes` must be >= "+
			"`message.max.bytes`; "+
			"mend or set what it names\ntapecast: the configuration has 1 fault\n")
	f("log: {levl: x}", nil, 1, "",
		"c.yaml:1: log.levl: unknown key; did you mean log.level?\ntapecast: the configuration has 1 fault\n")
	p := begin(t, nil, "check")
	p.ends(0)
	p = begin(t, nil, "check", "--connect")
	p.ends(0)
	p.says(&p.stdout, "nothing to connect to")
	p = begin(t, nil, "check", "--connect", "--config", write(t, `kafka: {brokers: ["127.0.0.1:1"]}
auth: {secret: `+key+`, issuer: i, audience: a}
ingest: {routes: [{topic: a, rooms: [prices]}]}
`))
	p.ends(1)
	p.says(&p.stdout, "\nfault: broker 127.0.0.1:1: ")
	p.says(&p.stderr, "tapecast: what this configuration connects to has 1 fault\n")
	p = begin(t, nil, "check", "--config", "/nowhere.yaml")
	p.ends(1)
	p.says(&p.stderr, "/nowhere.yaml: cannot read the file")
}

func TestCommandLineFaults(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		p := begin(t, nil, args...)
		p.ends(1)
		p.says(&p.stderr, want)
	}
	f(`unknown command "rum"`, "rum")
	f("unknown flag: --colour", "run", "--colour")
	f(`required flag(s) "user"`, "token")
	f("--max-message", "echo", "--max-message", "big")
	f("cannot listen on", "echo", "--listen", "256.0.0.1:1")
	f("--listen: server.listen: \"x\" is not a host:port", "run", "--listen", "x")
	f("cannot write the profile", "run", "--cpuprofile", "/nowhere/p")
	f("cannot connect to ws://127.0.0.1:1/", "watch", "--token", "x", "--url", "ws://127.0.0.1:1/")
}

// TestHelp: a help text says what a user looks for there.
func TestHelp(t *testing.T) {
	f := func(command string, words ...string) {
		t.Helper()
		p := begin(t, nil, append(strings.Fields(command), "--help")...)
		p.ends(0)
		for _, w := range words {
			if !strings.Contains(p.stdout.String(), w) {
				t.Errorf("tapecast %s --help does not say %q", command, w)
			}
		}
	}
	f("", "Serve clients:\n  check ", "Try it as a client:\n  tail ", "\n  token ", "Other:\n  help ")
	f("run", "--direct", "admin.write", "POST /debug/append")
	f("token", "exp", "HS256", "EdDSA", "Ed25519", "auth.audience")
	f("check", "--connect")
	f("tail", "reconnects", "--count", "--key", "--positions")
}

func TestVersionCommand(t *testing.T) {
	p := begin(t, nil, "version")
	p.ends(0)
	p.says(&p.stdout, "tapecast ")
	p.says(&p.stdout, "(go1.")
}

func TestTokenCommand(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	token := func(environ []string, args ...string) string {
		t.Helper()
		p := begin(t, environ, append([]string{"token", "--user", "42"}, args...)...)
		p.ends(0)
		s := p.stdout.String()
		if strings.Count(s, ".") != 2 || strings.Count(s, "\n") != 1 || p.stderr.String() != "" {
			t.Fatalf("no token: %s%s", s, p.stderr.String())
		}
		return s
	}
	token(nil)
	token([]string{"TAPECAST_AUTH_SECRET=" + key})
	// Faults that do not concern tokens do not matter, others do.
	token(nil, "--ttl", "1m", "--config", write(t, "auth: {secret: "+key+"}\nserver: {listen: x}"))
	p := begin(t, nil, "token", "--user", "42", "--config", write(t, "auth: {secret: short}\nserver: {listen: x}"))
	p.ends(1)
	if s := p.stderr.String(); !strings.Contains(s, "the key has 5 bytes") || strings.Contains(s, "server.listen") ||
		p.stdout.String() != "" {
		t.Errorf("says %s", s)
	}
	p = begin(t, nil, "token", "--user", "42", "--ed25519")
	p.ends(1)
	p.says(&p.stderr, "set auth.private_key_file")
	// Without a directory for the demo secret no token is made: no gateway would accept it.
	t.Setenv("XDG_CONFIG_HOME", write(t, ""))
	p = begin(t, nil, "token", "--user", "42")
	p.ends(1)
	p.says(&p.stderr, "cannot keep the demo secret")
	p = begin(t, nil, "watch")
	p.ends(1)
	p = begin(t, nil, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ends(1)
}

func TestEchoCommand(t *testing.T) {
	p := begin(t, nil, "echo", "--listen", "127.0.0.1:0")
	p.says(&p.stdout, "echo on ws://127.0.0.1:")
	p.signals <- syscall.SIGTERM
	p.ends(0)
}
