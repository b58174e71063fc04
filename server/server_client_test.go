package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms/testwait"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// startServer runs a gateway on ports of the kernel's choice, with the embedded
// broker and without its market unless the configuration is changed.
func startServer(t *testing.T, change ...func(*config.Config)) *Server {
	t.Helper()
	s := newServer(t, change...)
	s.begin(t)
	return s
}

// newServer is startServer before the start.
func newServer(t *testing.T, change ...func(*config.Config)) *Server {
	t.Helper()
	cfg := testConfig()
	cfg.Server.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Admin.Write, cfg.Admin.TokenFile = true, adminTokenFile(t, testAdminToken)
	cfg.Server.Drain = 200 * time.Millisecond
	cfg.Ingest.Market = false
	cfg.Kafka.MetadataEvery = 200 * time.Millisecond
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

// begin starts a server, and waits until it is ready.
func (s *Server) begin(t *testing.T) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readyz", func() bool { return s.get(t, "/readyz", "") == http.StatusOK })
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	testwait.Until(t, testwait.Patience, what, cond)
}

var adminClient = http.Client{Timeout: testwait.Patience, Transport: &http.Transport{DisableKeepAlives: true}}

const testAdminToken = "a-token-of-tests-which-is-as-long-as-any"

func adminTokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ask sends a request to the internal port, with its token unless the headers have one.
func (s *Server) ask(t *testing.T, method, path, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+s.AdminAddr().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testAdminToken)
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := adminClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// get asks for a path and fails the test where the body lacks words.
func (s *Server) get(t *testing.T, path, words string) int {
	t.Helper()
	code, _, body := s.ask(t, "GET", path, "")
	if !strings.Contains(body, words) {
		t.Errorf("GET %s: %d without %q: %s", path, code, words, body)
	}
	return code
}

// wsClient is a client over a real socket.
type wsClient struct {
	t    *testing.T
	conn net.Conn
	r    io.Reader
}

func connect(t *testing.T, s *Server, query string) *wsClient {
	t.Helper()
	c, err := tryConnect(t, s, query)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryConnect(t *testing.T, s *Server, query string) (*wsClient, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, "ws://"+s.Listen().String()+"/ws"+query)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	c := &wsClient{t: t, conn: conn, r: conn}
	if br != nil {
		c.r = br // what came together with the upgrade
	}
	if err := conn.SetDeadline(time.Now().Add(2 * testwait.Patience)); err != nil {
		t.Fatal(err)
	}
	return c, nil
}

// next is the next message; closed is the code of a close frame instead.
func (c *wsClient) next() (text string, closed int) {
	c.t.Helper()
	for {
		f, err := ws.ReadFrame(c.r)
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		switch f.Header.OpCode {
		case ws.OpText:
			return string(f.Payload), 0
		case ws.OpClose:
			code, why := ws.ParseCloseFrameData(f.Payload)
			return why, int(code)
		}
	}
}

// until reads until a message holds words, and returns that.
func (c *wsClient) until(words string) string {
	c.t.Helper()
	for {
		m, closed := c.next()
		if closed != 0 {
			c.t.Fatalf("closed with %d %s before %q", closed, m, words)
		}
		if strings.Contains(m, words) {
			return m
		}
	}
}

// end reads on until the connection is closed, whatever notices come before that.
func (c *wsClient) end() (why string, code int) {
	c.t.Helper()
	for code == 0 {
		why, code = c.next()
	}
	return why, code
}

func (c *wsClient) send(text string) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		c.t.Fatal(err)
	}
}

// enter connects a user, and waits until its rooms are joined.
func enter(t *testing.T, s *Server, user string) *wsClient {
	t.Helper()
	c := connect(t, s, "?token="+testToken(t, user, time.Hour))
	c.until("auto_subscribed")
	return c
}

// decode takes a JSON body apart, and fails where it has unknown fields.
func decode(t *testing.T, body string, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}

// serverSecret is the key of the tests' tokens.
const serverSecret = "0123456789abcdef0123456789abcdef"

// testConfig is the built-in configuration with a key.
func testConfig() *config.Config {
	cfg := config.Default()
	cfg.Auth.Secret = serverSecret
	return cfg
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func testToken(t testing.TB, user string, ttl time.Duration) string {
	t.Helper()
	token, err := auth.MintToken(testConfig(), user, ttl, false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
