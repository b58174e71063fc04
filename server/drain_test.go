package server

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestDrainDelay: readiness goes at once, while new clients are still let in and served,
// until the delay is over, or is cut short.
func TestDrainDelay(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) {
		cfg.Server.DrainDelay = time.Hour
		cfg.Server.Listen, cfg.Admin.Listen = "0.0.0.0:0", "0.0.0.0:0"
	})
	for _, a := range []net.Addr{s.Listen(), s.AdminAddr()} {
		if host, _, _ := net.SplitHostPort(a.String()); host != "0.0.0.0" {
			t.Errorf("listens on %s, and not on IPv4 alone", a)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "readyz takes it back",
		func() bool { return s.get(t, "/readyz", "") == http.StatusServiceUnavailable })
	s.get(t, "/health", `{"status":"healthy"`)
	enter(t, s, "2")
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}

	s = startServer(t, func(cfg *config.Config) { cfg.Server.DrainDelay = 300 * time.Millisecond })
	c, begun := enter(t, s, "1"), time.Now()
	go func() { ended <- s.Shutdown(context.Background()) }()
	c.until("server_shutdown")
	if d := time.Since(begun); d < s.cfg.Server.DrainDelay {
		t.Errorf("clients were told after %s", d)
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}
