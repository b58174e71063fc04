package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is the web site of the pages.
type site struct {
	t      testing.TB
	client string
	server *httptest.Server
	pages  []*page
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	i := slices.IndexFunc(s.pages, func(p *page) bool { return p.user == user })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	p := s.pages[i]
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>tapecast</title><script src=\"/script?user=%s\"></script>", user)
	case "/script":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = io.WriteString(w, s.script(p))
	case "/token":
		p.mu.Lock()
		p.asked++
		state := p.tokens
		p.mu.Unlock()
		switch state {
		case "none":
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case "bad":
			fmt.Fprint(w, "bad")
		default:
			fmt.Fprint(w, tokenFor(user, 5*time.Second))
		}
	case "/report":
		p.report(w, r)
	}
}

func (s *site) script(p *page) string {
	harness, err := os.ReadFile("testdata/browser.js")
	if err != nil {
		s.t.Error(err)
	}
	const run = `const run = { site: %q, socket: "ws://%s/ws", user: %q, rooms: %s, roams: %q, silence: 5000 };
`
	rooms, roams := []string{"prices", "trades", "orders:" + p.user}, ""
	if p.roams {
		rooms, roams = append(rooms, "ticks:*"), "trades"
	}
	list, err := json.Marshal(rooms)
	if err != nil {
		s.t.Error(err)
	}
	return fmt.Sprintf(run, s.server.URL, p.cut.addr, p.user, list, roams) + s.client + string(harness)
}

// nodeFlags returns the flags that give node a WebSocket. why says why it has none.
func nodeFlags() (flags []string, why string) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, "there is no node"
	}
	for _, flags := range [][]string{nil, {"--experimental-websocket"}} { // node 22, node 20
		if exec.Command("node", append(flags, "-e", "WebSocket")...).Run() == nil {
			return flags, ""
		}
	}
	return nil, "node is older than 20.10"
}

func (s *site) node(p *page, flags []string) {
	s.run(p, "node", append(flags, written(s.t, "client.js", s.script(p)))...)
}

func (s *site) chromium(p *page) {
	p.profile = s.t.TempDir()
	// Without these flags it asks for servers that the machine may not reach. As root it has no sandbox.
	s.run(p, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--enable-precise-memory-info",
		"--user-data-dir="+p.profile, "--remote-debugging-port=0", s.server.URL+"/?user="+p.user)
}

// run starts a program. Its whole process group ends with the test.
func (s *site) run(p *page, name string, args ...string) {
	var out strings.Builder
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = &out, &out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("cannot start %s, which .ci/deps browser installs: %v", name, err)
	}
	suite.reap.tell("pid", p.cmd.Process.Pid)
	s.t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait() // it was killed
		suite.reap.tell("ended", p.cmd.Process.Pid)
		if s.t.Failed() {
			s.t.Logf("%s said:\n%.3000s", name, out.String())
		}
	})
}
