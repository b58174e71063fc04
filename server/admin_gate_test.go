package server

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/admin"
	"tapecast/server/config"
)

// raw sends what a client of its own mind would, and returns the answer's status and
// body; "": the connection ended without one.
func (s *Server) raw(t *testing.T, text string) string {
	t.Helper()
	c := s.open(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c) // how it ended is not what is asked
	return string(b)
}

// as asks for a path with a Host header, and returns the status.
func (s *Server) as(t *testing.T, host, path string) string {
	t.Helper()
	got := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	return got[:min(len(got), len("HTTP/1.1 200"))]
}

// open connects to the internal port.
func (s *Server) open(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.AdminAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testwait.Patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// adminOnly starts the internal port alone.
func adminOnly(t *testing.T, change ...func(*config.Config)) *Server {
	t.Helper()
	cfg := testConfig()
	cfg.Admin = config.Admin{Listen: "127.0.0.1:0", Write: true, Pprof: true}
	cfg.Admin.TokenFile = adminTokenFile(t, testAdminToken)
	cfg.Admin.TLS.MinVersion = "1.2"
	for _, f := range change {
		f(cfg)
	}
	s, err := New(cfg, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *Server) startAdmin(t *testing.T) *Server {
	t.Helper()
	if err := s.admin.Start(s.cfg.Admin.Listen); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAdminHosts: a page cannot ask the internal port by a name of its own.
func TestAdminHosts(t *testing.T) {
	s := adminOnly(t, func(cfg *config.Config) {
		cfg.Admin.Hosts = []string{"Tapecast.internal",
			"pod_7"}
	}).startAdmin(t)
	f := func(host string, served bool) {
		t.Helper()
		want := map[bool]string{true: "HTTP/1.1 200", false: "HTTP/1.1 421"}[served]
		if got := s.as(t, host, "/metrics"); got != want {
			t.Errorf("%q: %s", host, got)
		}
		if got := s.as(t, host, "/livez"); got != "HTTP/1.1 200" {
			t.Errorf("/livez as %q: %s", host, got)
		}
	}
	for _, good := range []string{
		"127.0.0.1", "127.0.0.1:8081", "10.1.2.3:1", "[::1]", "[::1]:8081", "[2001:DB8::1]:80",
		"[::ffff:127.0.0.1]:80", "localhost", "LOCALHOST:8081",
		"localhost.", "localhost.:99", "tapecast.internal", "TAPECAST.internal:8081", "tapecast.INTERNAL.", "pod_7:1",
	} {
		f(good, true)
	}
	for _, bad := range []string{
		"evil.example", "evil.example:8081", "127.0.0.1.evil.example",
		"localhost.evil.example", "xlocalhost", "localhost..", "127.0.0.1.",
		"sub.tapecast.internal", "*", "0x7f.1", "2130706433", "127.1",
		"[::1", "[::1]x", "[::1]:x", "[127.0.0.1]", "[]", "[evil.example]",
		"127.0.0.1:x", "localhost:", "localhost:99999", "localhost:8081:1", "::1", ":8081", "",
	} {
		f(bad, false)
	}
	got := s.raw(t, "GET /health HTTP/1.0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 421 ") || !strings.Contains(got, "admin.hosts") {
		t.Errorf("HTTP/1.0 without Host: %.300s", got)
	}
	if got := s.raw(t, "GET /readyz HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 503 ") {
		t.Errorf("/readyz, HTTP/1.0 without Host: %.300s", got)
	}
	if got := s.as(t, "127.0.0.1", "http://evil.example/health"); got != "HTTP/1.1 421" {
		t.Errorf("another host in the request line: %s", got)
	}
	for _, path := range []string{"//livez", "/livez/", "/livez/../health", "/x/../livez"} {
		if got := s.as(t, "evil.example", path); got != "HTTP/1.1 421" {
			t.Errorf("%s: %s", path, got)
		}
	}
	if n := s.gate.Refused(admin.ByName); n < 20 {
		t.Errorf("%d counted", n)
	}
}

// TestAdminWrites: requests that write are off by default, and need the token.
func TestAdminWrites(t *testing.T) {
	on := startServer(t, func(cfg *config.Config) { cfg.Admin.Direct = true })
	off := startServer(t, func(cfg *config.Config) { cfg.Admin.Write, cfg.Admin.TokenFile = false, "" })
	const record = `{"topic":"events","value":{"metadata":{"eventType":"system.alert"},"data":1}}`
	f := func(s *Server, path string, code int, words string, headers ...string) {
		t.Helper()
		body := record
		if path == "/debug/append" {
			body = string(packed(nil, "trades", "1"))
		}
		got, header, answer := s.ask(t, "POST", path, body, headers...)
		if got != code || !strings.Contains(answer, words) {
			t.Errorf("%s %q: %d %s, want %d %q", path, headers, got, answer, code, words)
		}
		if (got == 401) != (header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: %d with %v", path, got, header)
		}
	}
	f(off, "/publish", 403, "set admin.write: true")
	f(off, "/debug/append", 404, "does not exist")
	for _, path := range []string{"/publish", "/debug/append"} {
		for _, bad := range []string{
			"", "Bearer", "Bearer ", "Bearer " + testAdminToken + "x", "Bearer " + testAdminToken[1:],
			testAdminToken, "Basic " + testAdminToken,
			"Bearer " + strings.ToUpper(testAdminToken), "Bearer x " + testAdminToken,
		} {
			f(on, path, 401, "needs the token of admin.token_file", "Authorization", bad)
		}
		f(on, path, 200, "", "Authorization", "bearer  "+testAdminToken)
		f(on, path, 200, "")
		f(on, path, 421, "admin.hosts", "Host", "evil.example")
		f(on, path, 403, "another origin", "Origin", "http://evil.example")
	}
	twice := "POST /publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nAuthorization: Bearer " +
		testAdminToken + "\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
	if got := on.raw(t, twice); !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("two tokens: %.200s", got)
	}
	on.get(t, "/metrics", "\ntapecast_admin_refused_total{reason=\"token\"} 19\n")
	on.get(t, "/metrics", "\ntapecast_admin_refused_total{reason=\"host\"} 2\n")
	off.get(t, "/metrics", "\ntapecast_admin_refused_total{reason=\"off\"} 1\n")
}

// TestAdminToken: a new token can be taken while the port is served.
func TestAdminToken(t *testing.T) {
	s := adminOnly(t).startAdmin(t)
	const second = "another-token-of-tests-which-is-as-long"
	f2 := func(token string, code int) {
		t.Helper()
		if got, _, body := s.ask(t, "GET", "/debug/pprof/cmdline", "", "Authorization", "Bearer "+token); got != code {
			t.Errorf("%d %s, want %d", got, body, code)
		}
	}
	f2(second, 401)
	if err := os.WriteFile(s.cfg.Admin.TokenFile, []byte(second), 0o600); err != nil {
		t.Fatal(err)
	}
	f2(second, 401)
	if err := s.ReloadAdmin(s.cfg); err != nil {
		t.Fatal(err)
	}
	f2(second, 200)
	f2(testAdminToken, 401)
	if err := os.WriteFile(s.cfg.Admin.TokenFile, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadAdmin(s.cfg); err == nil {
		t.Error("a short token is taken")
	}
	f2(second, 200)
	if err := s.ReloadAdmin(config.Default()); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("the token can be taken away: %v", err)
	}
}

// TestAdminNewErrors: what Load would have refused is refused without it too.
func TestAdminNewErrors(t *testing.T) {
	f := func(words string, change func(*config.Admin)) {
		t.Helper()
		cfg := testConfig()
		change(&cfg.Admin)
		if _, err := New(cfg, quietLog()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	f("set admin.token_file", func(a *config.Admin) { a.Write = true })
	f("set admin.write", func(a *config.Admin) { a.Direct = true })
	f("no such file", func(a *config.Admin) { a.TokenFile = "/nowhere/token" })
	f("admin.tls", func(a *config.Admin) { a.TLS.CertFile = "/nowhere/cert.pem" })
}

// TestAdminMethods: bodies where none is wanted, HEAD, other methods, other spellings.
func TestAdminMethods(t *testing.T) {
	s := adminOnly(t).startAdmin(t)
	f := func(method, path, body string, code int, allow string) {
		t.Helper()
		got, header, answer := s.ask(t, method, path, body)
		if got != code || header.Get("Allow") != allow || method == "HEAD" && answer != "" {
			t.Errorf("%s %s: %d %v %s, want %d %q", method, path, got, header, answer, code, allow)
		}
	}
	paths := []string{"/health", "/livez", "/readyz", "/metrics", "/connections", "/debug/pprof/", "/debug/pprof/trace"}
	for _, path := range paths {
		f("GET", path, "{}", 400, "")
		f("DELETE", path, "", 405, "GET, HEAD")
		f("OPTIONS", path, "", 405, "GET, HEAD")
	}
	f("HEAD", "/livez", "", 200, "")
	f("HEAD", "/metrics", "", 200, "")
	for _, path := range []string{"/health", "/metrics", "/publish", "/nothing"} {
		got := s.raw(t, "HEAD "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.HasSuffix(got, "\r\n\r\n") || strings.Count(got, "\r\n\r\n") != 1 {
			t.Errorf("HEAD %s has a body: %s", path, got)
		}
	}
	f("PUT", "/publish", "{}", 405, "POST")
	f("GET", "/health/", "", 404, "")
	f("GET", "/HEALTH", "", 404, "")
	f("GET", "/publish", "", 405, "POST")
	// What follows a body that was not wanted is not taken for a request.
	got := s.raw(t, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n")
	if n := strings.Count(got, "HTTP/1.1 "); n != 1 || !strings.Contains(got, "takes no body") {
		t.Errorf("%d answers: %s", n, got)
	}
	if got := s.as(t, "x\r\nX: "+strings.Repeat("x", 32<<10), "/livez"); got != "HTTP/1.1 431" {
		t.Errorf("long headers: %s", got)
	}
}
