package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/admin"
	"tapecast/server/config"
)

// hasEnded waits until a connection is closed by the gateway.
func hasEnded(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection is still open")
	}
}

// TestAdminHalfSent: requests that are sent by halves end, in plain and over TLS,
// whatever their sender shows; and one whose work takes long goes on.
func TestAdminHalfSent(t *testing.T) {
	files := makeCert(t, t.TempDir(), 1, time.Hour)
	for _, secured := range []bool{false, true} {
		s := adminOnly(t, func(cfg *config.Config) {
			if secured {
				cfg.Admin.TLS = config.PortTLS{CertFile: files.CertFile, KeyFile: files.KeyFile, MinVersion: "1.2"}
			}
		})
		h := s.admin.HTTP
		h.ReadHeaderTimeout, h.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond
		h.WriteTimeout, h.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond
		s.startAdmin(t)
		open := func() net.Conn {
			t.Helper()
			c := s.open(t)
			if secured {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			return c
		}
		const head = " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
		for _, half := range []string{
			"", "P", "POST /publish HTTP/1.1\r\nHost: localhost\r\n",
			"POST /publish" + head + testAdminToken + "\r\nContent-Length: 100\r\n\r\n{",
			"POST /publish" + head + testAdminToken + "\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
			"POST /publish" + head + "wrong\r\nContent-Length: 100\r\n\r\n{",
			"POST /debug/pprof/symbol" + head + testAdminToken + "\r\nContent-Length: 100\r\n\r\n{",
			"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
			"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
			"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", // and then nothing
		} {
			c := open()
			if _, err := io.WriteString(c, half); err != nil {
				t.Fatal(err)
			}
			hasEnded(t, c)
		}
		c := open()
		if secured {
			c = s.open(t) // no handshake
			hasEnded(t, c)
			c = open()
		}
		// Longer than all of these deadlines.
		long := "GET /debug/pprof/profile?seconds=1" + head + testAdminToken + "\r\nConnection: close\r\n\r\n"
		if _, err := io.WriteString(c, long); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
			t.Errorf("a profile: %v %.200s", err, b)
		}
	}
}

// beginAppend sends the head of a request to /debug/append.
func beginAppend(c net.Conn, length int) {
	fmt.Fprintf(c, "POST /debug/append HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n", testAdminToken, length)
}

// TestDirectStreamPauses: what has the token may send for longer than a request.
func TestDirectStreamPauses(t *testing.T) {
	s := newServer(t, func(cfg *config.Config) { cfg.Admin.Direct = true })
	s.admin.HTTP.ReadTimeout, s.admin.HTTP.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s.begin(t)
	c := s.open(t)
	entry := packed(nil, "trades", "1")
	beginAppend(c, 2*len(entry))
	if _, err := c.Write(entry); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	eventually(t, "a pause", func() bool { return time.Since(before) > 300*time.Millisecond })
	if _, err := c.Write(entry); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), `{"appended":2}`) {
		t.Errorf("%v %s", err, b)
	}
}

// TestAdminConnections: whatever is held open, probes get in, and what has the token
// goes on.
func TestAdminConnections(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Admin.Direct = true })
	stream := s.open(t)
	entry := packed(nil, "trades", "1")
	beginAppend(stream, len(entry))
	eventually(t, "the stream is kept", func() bool { return s.admin.Kept() == 1 })
	var first net.Conn
	for i := range 3 * admin.MaxConnections {
		c := s.open(t)
		if i == 0 {
			first = c
		}
		_, err := io.WriteString(c, "POST /publish HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		if err != nil && i < admin.MaxConnections/2 {
			t.Fatal(err)
		}
	}
	if code := s.get(t, "/livez", "alive"); code != 200 {
		t.Errorf("/livez: %d", code)
	}
	hasEnded(t, first)
	if n := s.admin.Connections(); n > admin.MaxConnections {
		t.Errorf("%d connections", n)
	}
	if n := s.admin.Dropped(); n < 2*admin.MaxConnections {
		t.Errorf("%d dropped", n)
	}
	if _, err := stream.Write(entry); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(stream); err != nil || !strings.Contains(string(b), `{"appended":1}`) {
		t.Errorf("the stream: %v %s", err, b)
	}
}

// TestAdminTLS: the internal port is https, and https only; SIGHUP's reload changes
// what new connections see; probes stay plain, on a port of their own.
func TestAdminTLS(t *testing.T) {
	dir := t.TempDir()
	files := makeCert(t, dir, 1, time.Hour)
	cfg := testConfig()
	cfg.Server.Listen, cfg.Ingest.Market, cfg.Server.Drain = "127.0.0.1:0", false, 100*time.Millisecond
	cfg.Admin = config.Admin{Listen: "127.0.0.1:0", Probes: "127.0.0.1:0", Write: true, Pprof: true}
	cfg.Admin.TLS = config.PortTLS{CertFile: files.CertFile, KeyFile: files.KeyFile, MinVersion: "1.3"}
	cfg.Admin.TokenFile = adminTokenFile(t, testAdminToken)
	s, err := New(cfg, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.ProbesAddr() != nil {
		t.Error("probes have an address")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin, probes := s.AdminAddr().String(), s.ProbesAddr().String()
	resp := bearing(t, "GET", "https://"+admin+"/livez", 200)
	if resp.TLS.Version != tls.VersionTLS13 || resp.Proto != "HTTP/1.1" {
		t.Errorf("spoken: %x %s", resp.TLS.Version, resp.Proto)
	}
	bearing(t, "GET", "http://"+admin+"/livez", 400)
	bearing(t, "POST", "https://"+admin+"/publish", 400)
	bearing(t, "GET", "https://"+admin+"/debug/pprof/cmdline", 200)
	for _, path := range []string{"/livez", "/health", "/metrics"} {
		eventually(t, path, func() bool {
			r, err := bearingClient.Get("http://" + probes + path)
			return err == nil && r.StatusCode == 200
		})
	}
	for _, path := range []string{"/publish", "/connections", "/debug/pprof/", "/debug/append"} {
		bearing(t, "GET", "http://"+probes+path, 404)
		bearing(t, "POST", "http://"+probes+path, 404)
	}
	serial := func() int64 {
		return bearing(t, "GET", "https://"+admin+"/livez", 200).TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	makeCert(t, dir, 2, time.Hour)
	if err := s.ReloadAdmin(cfg); err != nil || serial() != 2 {
		t.Errorf("reload: %v, certificate %d", err, serial())
	}
	if err := s.ReloadCertificate(cfg); err != nil {
		t.Errorf("the public port has none: %v", err)
	}
	plain := *cfg
	plain.Admin.TLS.CertFile = ""
	if err := s.ReloadAdmin(&plain); err == nil || serial() != 2 {
		t.Errorf("TLS can be taken away: %v", err)
	}
}

// bearingClient makes a connection for each request, and takes any certificate.
var bearingClient = &http.Client{Timeout: testwait.Patience, Transport: &http.Transport{
	DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// bearing sends a request with the token of the internal port, and demands a status.
func bearing(t *testing.T, method, url string, code int) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testAdminToken)
	resp, err := bearingClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != code {
		t.Errorf("%s %s: %d, want %d", method, url, resp.StatusCode, code)
	}
	return resp
}
