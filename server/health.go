package server

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// serveHealth answers /health: 200 while clients are served, if degraded; 503
// when a service that they need is down.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	type service struct {
		Status    status `json:"status"`
		IsRunning bool   `json:"isRunning"`
		Detail    string `json:"detail,omitempty"` // why it is not healthy
	}
	report := s.registry.report()
	out := struct {
		Status    status             `json:"status"`
		Timestamp int64              `json:"timestamp"` // ms since 1970
		Services  map[string]service `json:"services"`
	}{overall(report), time.Now().UnixMilli(), map[string]service{}}
	for _, r := range report {
		v := service{Status: r.status, IsRunning: r.running}
		if r.status != statusHealthy {
			v.Detail = cmp.Or(r.detail, notRunning[r.status], "it does not say why")
		}
		out.Services[r.name] = v
	}
	code := http.StatusOK
	if out.Status == statusUnhealthy {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, out)
}

// notRunning is why a service is not healthy that is not asked, since it does not run.
var notRunning = map[status]string{
	statusInitial:  "it has not been started yet",
	statusStarting: "it is being started",
	statusStopping: "it is being stopped",
	statusStopped:  "it was stopped",
}

// serveLivez answers /livez: the process lives, unless a goroutine that has a
// heartbeat has stood for ten seconds. It waits for nothing.
func (s *Server) serveLivez(w http.ResponseWriter, _ *http.Request) {
	out := struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{Status: "alive"}
	code := http.StatusOK
	if dead := s.watchdog.dead(); dead != nil {
		code, out.Status, out.Reason = http.StatusServiceUnavailable, "standing", strings.Join(dead, "; ")
	}
	answer(w, code, out)
}

// serveReadyz answers /readyz: whether clients should be sent here.
func (s *Server) serveReadyz(w http.ResponseWriter, _ *http.Request) {
	var out struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	code := http.StatusServiceUnavailable
	switch {
	case s.draining.Load():
		out.Status, out.Reason = "draining", "the server is stopping"
	case !s.isReady():
		out.Status, out.Reason = "starting", "not every partition has been read up to where it was at the start"
		if c := s.consumer.Load(); c != nil {
			if ok, detail := c.Health(); !ok {
				out.Reason = detail
			}
		}
	default:
		out.Status, code = "ready", http.StatusOK
	}
	answer(w, code, out)
}
