package bench

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
)

// secured makes a gate speak TLS, and returns its certificate's file.
func (g *gate) secured() (ca string) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	defer s.Close()
	ca = filepath.Join(g.t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		0o600); err != nil {
		g.t.Fatal(err)
	}
	cert := s.TLS.Certificates[0]
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrap = func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}) }
	return ca
}

// TestFanoutTLS: over TLS too, nothing is lost or late, to the last byte.
func TestFanoutTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Size = 5000 // some span records
	cfg.Target.CA = g.secured()
	cfg.Target.URL = strings.Replace(cfg.Target.URL, "ws:", "wss:", 1)
	res, err := Fanout(t.Context(), cfg)
	var invalid *job.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	run := res.Runs[0]
	if run.Want != 20*120 || run.Unique != run.Want || run.Lost+run.Doubled+run.Invalid+run.Foreign+run.Breaks != 0 {
		t.Fatalf("%+v", run)
	}

	if h, err := Handshake(t.Context(), HandshakeConfig{Target: cfg.Target, Count: 8, Batch: 4,
		Settle: time.Millisecond}); err != nil || h.Latency.Count != 8 {
		t.Fatalf("handshakes: %v", err)
	}

	cfg.Target.CA = ""
	if _, err := Fanout(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "TLS: ") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	cfg.Target.CA = "no.such.file"
	if _, err := Fanout(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--ca") {
		t.Errorf("no certificate: %v", err)
	}
}
