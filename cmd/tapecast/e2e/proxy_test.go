package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// secureConfig returns the configuration of a wss gateway, and what its clients trust. server and
// limits are keys of those sections.
func secureConfig(t *testing.T, server, limits string) (string, *tls.Config) {
	t.Helper()
	certFile, keyFile, trust := certificate(t)
	files := fmt.Sprintf("cert_file: %q, key_file: %q", certFile, keyFile)
	return config(nil, fmt.Sprintf(`
server: {listen: "127.0.0.1:0", %s}
limits: {%s}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`, strings.ReplaceAll(server, "FILES", files), limits)), trust
}

// certificate makes one for 127.0.0.1, and returns what its clients trust.
func certificate(t *testing.T) (certFile, keyFile string, trust *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return put("cert.pem", "CERTIFICATE", cert), put("key.pem", "PRIVATE KEY", der),
		&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// connect opens a socket from an address and sends what comes before TLS. A nil trust means no TLS.
func connect(t *testing.T, g *gateway, from net.IP, first []byte, trust *tls.Config) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
	conn, err := d.Dial("tcp", g.public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(first); err != nil {
		t.Fatal(err)
	}
	if trust != nil {
		return tls.Client(conn, trust)
	}
	return conn
}

// upgraded asks for the upgrade with a token and more header lines, and returns the status of the
// answer; 0: none.
func upgraded(g *gateway, conn net.Conn, lines ...string) (status int) {
	more := ""
	for _, line := range lines {
		more += line + "\r\n"
	}
	fmt.Fprintf(conn, "GET /ws?token=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", g.token("1"), more)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	fmt.Sscanf(line, "HTTP/1.1 %d", &status)
	return status
}

// helloOf returns the first bytes of a TLS client.
func helloOf(t *testing.T, trust *tls.Config) []byte {
	t.Helper()
	server, client := net.Pipe()
	defer server.Close()
	go func() {
		tls.Client(client, trust).Handshake()
		client.Close()
	}()
	b := make([]byte, 16<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	rest, want := b[:n], 5+(int(b[3])<<8|int(b[4]))
	for len(rest) < want {
		n, err := server.Read(b[len(rest):want])
		if err != nil {
			t.Fatal(err)
		}
		rest = b[:len(rest)+n]
	}
	return rest
}

// TestStalledHellosShutNobodyOut: clients that send a ClientHello and nothing more delay no client
// elsewhere. If too many wait, those of the address with the most are closed.
func TestStalledHellosShutNobodyOut(t *testing.T) {
	besideOthers(t)
	yaml, trust := secureConfig(t, "handshake_timeout: 5m, tls: {FILES, handshakes: 8, waiting: 40}",
		"connections_per_address: 20")
	g := start(t, yaml)
	hello := helloOf(t, trust)
	for n := range 3 {
		silentSockets(t, g, source(1+n), 20, hello)
	}
	eventually(t, patience, "40 wait for their clients", func() bool {
		return g.metric("tapecast_tls_handshakes_parked") == 40 &&
			g.metric("tapecast_limited_total", "limit", "tls_waiting") == 20
	})
	for n := range 20 {
		if s := upgraded(g, connect(t, g, source(10+n), nil, trust)); s != 101 {
			t.Fatalf("client %d got status %d", n, s)
		}
	}
	eventually(t, patience, "none computes", func() bool { return g.metric("tapecast_tls_handshakes_running") == 0 })
	g.waitLog(patience, "limit of sockets reached", func(l logLine) bool {
		return l["limit"] == "tls_waiting" && strings.HasPrefix(hostOf(l["remote"]), "127.0.2.")
	})
}

// TestProxyProtocol: behind a balancer that sends PROXY headers, version 1 and 2, with and without
// TLS, limits and logs use the client's address. A header of any other peer does not count.
func TestProxyProtocol(t *testing.T) {
	f := func(secure bool) {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			files := ""
			if secure {
				files = ", tls: {FILES}"
			}
			yaml, trust := secureConfig(t, "proxy: {trusted: [127.0.2.0/30]}"+files, "connections_per_address: 2")
			if !secure {
				trust = nil
			}
			g := start(t, yaml)
			for version := byte(1); version <= 2; version++ {
				header := func(client string) []byte {
					src := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
					dst := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 443}
					h := proxyproto.HeaderProxyFromAddrs(version, src, dst)
					b, err := h.Format()
					if err != nil {
						t.Fatal(err)
					}
					return b
				}
				via := func(client string) int { return upgraded(g, connect(t, g, source(1), header(client), trust)) }
				own := fmt.Sprintf("198.51.100.%d:4000", version)
				for n, want := range []int{101, 101, 503} {
					if s := via(own); s != want {
						t.Errorf("version %d: connection %d of one address: %d, want %d", version, n+1, s, want)
					}
				}
				for n := range 5 {
					if s := via(fmt.Sprintf("203.0.113.%d:4000", 10*int(version)+n)); s != 101 {
						t.Errorf("version %d: another address: %d", version, s)
					}
				}
				g.waitLog(patience, "limit of sockets reached", func(l logLine) bool { return l["remote"] == own })
				if s := upgraded(g, connect(t, g, source(200), header(own), trust)); s == 101 {
					t.Errorf("version %d: anybody may claim an address", version)
				}
			}
			// The balancer's own connections: LOCAL, or a header without addresses.
			local := append([]byte(proxyproto.SIGV2), 0x20, 0, 0, 0)
			for range 3 {
				if s := upgraded(g, connect(t, g, source(1), local, trust)); s != 101 {
					t.Errorf("the balancer's own check: %d", s)
				}
				connect(t, g, source(1), nil, nil).Close()
				connect(t, g, source(1), local, nil).Close()
			}
			if n := g.metric("tapecast_proxy_headers_refused_total"); n != 0 {
				t.Errorf("%v headers were refused", n)
			}
			conn := connect(t, g, source(2), []byte("GET /ws HTTP/1.1\r\n"), nil)
			if b, _ := io.ReadAll(conn); len(b) > 0 {
				t.Errorf("a trusted peer without a header was answered %q", b)
			}
			if n := g.metric("tapecast_proxy_headers_refused_total"); n != 1 {
				t.Errorf("%v headers were refused", n)
			}
		})
	}
	f(false)
	f(true)
}
