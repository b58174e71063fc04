package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secret = "an end-to-end test's own secret: 32+"

// adminToken is the token of all gateways' internal ports, also of the demo's.
const adminToken = "an-end-to-end-tests-own-admin-token"

// adminTokenFile returns the file of that token.
func adminTokenFile() string { return adminTokenIn(filepath.Join(suite.dir, "config")) }

// adminTokenIn returns where a demo looks for its token that keeps its files in home.
func adminTokenIn(home string) string { return filepath.Join(home, "tapecast", "demo.admin-token") }

// gateway is a running `tapecast run`.
type gateway struct {
	t      testing.TB
	cmd    *exec.Cmd
	public string // host:port
	admin  string
	exited chan struct{}
	clock  *clock // nil: nobody has set it
	yaml   string // the configuration of the start, once it was changed

	mu     sync.Mutex
	log    []logLine
	stdout strings.Builder
	stderr strings.Builder // lines that are not JSON
}

// logLine is one line of the gateway's log.
type logLine map[string]any

func (l logLine) msg() string { s, _ := l["msg"].(string); return s }

// config returns a configuration on ports that the kernel chooses. The sections that every
// test has come first, and more below them.
func config(k *cluster, more string) string {
	s := fmt.Sprintf("server: {listen: \"127.0.0.1:0\", drain: 3s, ping_every: 1s}\n"+
		"admin: {listen: \"127.0.0.1:0\", pprof: true, write: true, token_file: %q}\n"+
		"log: {level: info, format: json}\nauth: {secret: %q}\n"+
		"limits: {messages_per_second: 0, request_cost: 0, snapshot_bytes: 0}\n", adminTokenFile(), secret)
	if k != nil && !strings.Contains(more, "\nkafka:") {
		s += kafkaSection(k)
	}
	for _, section := range []string{"server", "admin", "log", "auth", "limits"} {
		if strings.Contains("\n"+more, "\n"+section+":") {
			at := strings.Index(s, section+":")
			s = s[:at] + s[at+strings.Index(s[at:], "\n")+1:]
		}
	}
	if k != nil {
		more = k.named(more)
	}
	return s + more
}

func kafkaSection(k *cluster) string {
	return fmt.Sprintf("kafka: {brokers: [%s], metadata_every: 500ms, librdkafka: {reconnect.backoff.max.ms: "+
		"\"500\"}}\n", k.brokers)
}

// start runs a gateway with a configuration until it is ready.
func start(t testing.TB, yaml string, args ...string) *gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tapecast.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	g := launch(t, append([]string{"run", "--config", file}, args...)...)
	g.ready()
	return g
}

// launch runs the gateway and waits for its addresses.
func launch(t testing.TB, args ...string) *gateway {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith is launch with more variables in its environment.
func launchWith(t testing.TB, env []string, args ...string) *gateway {
	t.Helper()
	g := spawnLogging(t, nil, env, args...)
	listening := g.waitLog(patience, "listening", nil)
	g.public, _ = listening["addr"].(string)
	g.admin, _ = listening["admin"].(string)
	if g.public == "" || g.admin == "" {
		t.Fatalf("no addresses in %v", listening)
	}
	return g
}

// spawn runs the binary until the end of the test.
func spawn(t testing.TB, args ...string) *gateway {
	t.Helper()
	return spawnLogging(t, nil, nil, args...)
}

// spawnLogging is spawn with a standard error of the test's own. nil: the log is read.
func spawnLogging(t testing.TB, log *os.File, env []string, args ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, exited: make(chan struct{})}
	g.cmd = exec.Command(built(t), args...)
	g.cmd.Env = append(append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(suite.dir, "config")), env...)
	stdout, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr io.Reader = strings.NewReader("")
	if log != nil {
		g.cmd.Stderr = log
	} else if stderr, err = g.cmd.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatalf("cannot start the gateway: %v", err)
	}
	pid := g.cmd.Process.Pid
	suite.reap.tell("pid", pid)
	var pipes sync.WaitGroup
	pipes.Go(func() { lines(stdout, g.said) })
	pipes.Go(func() { lines(stderr, g.logged) })
	go func() {
		pipes.Wait()
		_ = g.cmd.Wait() // the exit code is in ProcessState
		suite.reap.tell("ended", pid)
		close(g.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-g.exited:
		default:
			g.cmd.Process.Signal(syscall.SIGTERM)
			kill := time.AfterFunc(patience, func() { g.cmd.Process.Kill() })
			<-g.exited
			kill.Stop()
		}
		if t.Failed() {
			t.Logf("the gateway's log ends:\n%s", g.tail(40))
		}
		g.noRaces(t)
	})
	return g
}

func (g *gateway) said(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fmt.Fprintf(&g.stdout, "%s\n", b)
}

// output returns what the gateway has printed so far.
func (g *gateway) output() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stdout.String()
}

func (g *gateway) logged(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l logLine
	if json.Unmarshal(b, &l) == nil {
		g.log = append(g.log, l)
		return
	}
	fmt.Fprintf(&g.stderr, "%s\n", b)
}

// noRaces fails the test if the race detector or a panic has printed something.
func (g *gateway) noRaces(t testing.TB) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stderr.String()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "BUG:"} {
		if at := strings.Index(s, bad); at >= 0 {
			t.Errorf("the gateway said:\n%.6000s", s[max(0, at-100):])
			return
		}
	}
}

func (g *gateway) tail(n int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var s strings.Builder
	for _, l := range g.log[max(0, len(g.log)-n):] {
		b, _ := json.Marshal(l)
		fmt.Fprintf(&s, "%.500s\n", b)
	}
	return s.String() + g.stderr.String()
}

// waitLog waits for a line with that message that fits. A nil fits takes any line.
func (g *gateway) waitLog(d time.Duration, msg string, fits func(logLine) bool) logLine {
	g.t.Helper()
	var found logLine
	eventually(g.t, d, "a log line "+msg, func() bool {
		g.mu.Lock()
		i := slices.IndexFunc(g.log, func(l logLine) bool { return l.msg() == msg && (fits == nil || fits(l)) })
		if i >= 0 {
			found = g.log[i]
		}
		g.mu.Unlock()
		if i < 0 {
			select {
			case <-g.exited:
				g.t.Fatalf("the gateway ended, %v, before it said %q:\n%s", g.cmd.ProcessState, msg, g.tail(30))
			default:
			}
		}
		return i >= 0
	})
	return found
}

// saidTimes returns how many lines with that message the log has.
func (g *gateway) saidTimes(msg string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.log {
		if l.msg() == msg {
			n++
		}
	}
	return n
}

func (g *gateway) url() string { return "ws://" + g.public + "/ws" }

// get reads a path of the internal port.
func (g *gateway) get(path string, header ...string) (status int, body string) {
	g.t.Helper()
	status, body, err := g.tryGet(path, header...)
	if err != nil {
		g.t.Fatalf("cannot get %s: %v", path, err)
	}
	return status, body
}

var admin = http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func (g *gateway) tryGet(path string, header ...string) (status int, body string, err error) {
	req, err := http.NewRequest("GET", "http://"+g.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := admin.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// ready waits for /readyz.
func (g *gateway) ready() {
	g.t.Helper()
	eventually(g.t, patience, "readyz", func() bool {
		status, _, err := g.tryGet("/readyz")
		return err == nil && status == 200
	})
}

// token returns a token that is valid for an hour.
func (g *gateway) token(user string) string { return tokenFor(user, time.Hour) }

func tokenFor(user string, ttl time.Duration) string {
	claims := jwt.RegisteredClaims{Subject: user, ExpiresAt: jwt.NewNumericDate(time.Now().Add(ttl))}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return s
}

// stop sends SIGTERM, and demands exit code 0 within the time.
func (g *gateway) stop(within time.Duration) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	g.ended(within, 0)
}

func (g *gateway) ended(d time.Duration, code int) {
	g.t.Helper()
	within(g.t, d, "the gateway's end", g.exited)
	if got := g.cmd.ProcessState.ExitCode(); got != code {
		g.t.Fatalf("the gateway ended with %v, want exit code %d; its log ends:\n%s",
			g.cmd.ProcessState, code, g.tail(20))
	}
}

// command runs the binary to its end.
func command(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	g := spawn(t, args...)
	within(t, patience, strings.Join(args, " "), g.exited)
	return g.output(), g.tail(1000), g.cmd.ProcessState.ExitCode()
}

func written(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
