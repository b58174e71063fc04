package server

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"tapecast/server/admin"
	"tapecast/server/registry"
)

// serveHealth answers /health: 200 while clients are served, even if degraded, and 503
// when a service that they need is down.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	type service struct {
		Status    registry.Status `json:"status"`
		IsRunning bool            `json:"isRunning"`
		Detail    string          `json:"detail,omitempty"` // why it is not healthy
		Since     int64           `json:"since,omitempty"`  // ms since 1970: when it took its status
		LastError string          `json:"lastError,omitempty"`
		Restarts  int             `json:"restarts"`
		Why       string          `json:"restartReason,omitempty"` // of the last one
	}
	report := s.registry.Report()
	out := struct {
		Status    registry.Status    `json:"status"`
		Timestamp int64              `json:"timestamp"` // ms since 1970
		Services  map[string]service `json:"services"`
	}{registry.Overall(report), time.Now().UnixMilli(), map[string]service{}}
	for _, r := range report {
		v := service{Status: r.Status, IsRunning: r.Running, LastError: r.LastError, Restarts: r.Restarts, Why: r.Why}
		if !r.Since.IsZero() {
			v.Since = r.Since.UnixMilli()
		}
		if r.Status != registry.Healthy || r.Spent {
			v.Detail = cmp.Or(r.Detail, notRunning[r.Status], "it gives no reason")
		}
		out.Services[r.Name] = v
	}
	code := http.StatusOK
	if out.Status == registry.Unhealthy {
		code = http.StatusServiceUnavailable
	}
	admin.Answer(w, code, out)
}

// notRunning is the detail of a service that does not run, and therefore is not asked.
var notRunning = map[registry.Status]string{
	registry.Initialized: "it has not been started yet",
	registry.Starting:    "it is being started",
	registry.Stopping:    "it is being stopped",
	registry.Stopped:     "it was stopped",
}

type probeJSON struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// serveLivez answers /livez: the process is alive, unless a goroutine with a heartbeat has stood
// still for ten seconds. It waits for nothing.
func (s *Server) serveLivez(w http.ResponseWriter, _ *http.Request) {
	out, code := probeJSON{Status: "alive"}, http.StatusOK
	if dead := s.watchdog.dead(); dead != nil {
		code, out.Status, out.Reason = http.StatusServiceUnavailable, "standing", strings.Join(dead, "; ")
	}
	admin.Answer(w, code, out)
}

// serveReadyz answers /readyz: 200 if the node is ready for clients.
func (s *Server) serveReadyz(w http.ResponseWriter, _ *http.Request) {
	out, code := probeJSON{}, http.StatusServiceUnavailable
	switch {
	case s.draining.Load():
		out.Status, out.Reason = "draining", "the server is stopping"
	case !s.isReady():
		_, out.Reason = s.registry.Ready()
		out.Status = "starting"
	default:
		out.Status, code = "ready", http.StatusOK
	}
	admin.Answer(w, code, out)
}
