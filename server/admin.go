package server

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tapecast/rooms"
	"tapecast/server/admin"
	"tapecast/server/registry"
	"tapecast/server/web"
)

// probePaths returns the paths that orchestrators and Prometheus ask for.
func (s *Server) probePaths() *admin.Paths {
	p := admin.NewPaths()
	p.Get("/health", s.serveHealth)
	p.Get("/livez", s.serveLivez)
	p.Get("/readyz", s.serveReadyz)
	p.Get("/metrics", s.scrapes.Guard(s.serveMetrics))
	return p
}

func (s *Server) adminPort() (*admin.Port, error) {
	p := s.probePaths()
	// It asks every loop, and walks all members.
	p.Get("/connections", admin.NewTurns(s.gate, 1, 10).Guard(s.serveConnections))
	p.Add("/publish", s.gate.Writes(s.servePublish), http.MethodPost)
	p.Add("/disconnect", s.gate.Writes(admin.NewTurns(s.gate, 4, 1).Guard(s.serveDisconnect)), http.MethodPost)
	if s.cfg.Admin.Direct {
		streams := admin.NewTurns(s.gate, 16, 0)
		p.Hide("/debug/stand", s.gate.Writes(s.serveStand), http.MethodPost)
		p.Hide("/debug/append", s.gate.Writes(streams.Guard(s.direct.serve)), http.MethodPost)
	}
	if s.cfg.Admin.Pprof {
		p.Pprof(s.gate)
	}
	pages, err := web.New()
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	readers := admin.NewTurns(s.gate, 4, 0) // a page is rendered when it is asked for
	for _, page := range pages {
		p.Get(page.Path, readers.Guard(page.Serve))
	}
	return p.Port(s.gate, "admin.listen", s.adminCertificate.tlsConfig()), nil
}

func (s *Server) writeAdminMetrics(m metricWriter) {
	open := s.admin.Connections() + s.probes.Connections()
	put(m, "tapecast_admin_connections", open)
	put(m, "tapecast_admin_connections_dropped_total", s.adminDropped())
	m.family("tapecast_admin_refused_total")
	for why := range admin.Refusals {
		m.labelled("tapecast_admin_refused_total", "reason", why.String(), float64(s.gate.Refused(why)))
	}
}

func (s *Server) adminDropped() uint64 { return s.admin.Dropped() + s.probes.Dropped() }

type connectionsJSON struct {
	Connections   int64            `json:"connections"`
	Authenticated int64            `json:"authenticated"`
	Pending       int64            `json:"pending"`
	Subscriptions int64            `json:"subscriptions"`
	Wildcards     int64            `json:"wildcards"` // held by all connections together
	Loops         []loopJSON       `json:"loops"`
	Classes       map[string]int64 `json:"classes"` // rooms alive
	TopRooms      []rooms.RoomInfo `json:"topRooms"`
	Slowest       []memberJSON     `json:"slowest"`
	// Unanswered lists the loops and appenders that did not answer in time. Their members
	// are not in Slowest, and their rooms are not in TopRooms.
	Unanswered []string `json:"unanswered"`
}

type loopJSON struct {
	Connections   int64   `json:"connections"`
	Authenticated int64   `json:"authenticated"`
	Subscriptions int64   `json:"subscriptions"`
	Wildcards     int64   `json:"wildcards"`
	Blocked       int64   `json:"blocked"`
	Frames        uint64  `json:"framesSent"`
	Bytes         uint64  `json:"bytesSent"`
	Sends         uint64  `json:"sends"`
	Partial       uint64  `json:"partialSends"`
	LastPass      float64 `json:"lastPassMs"`
	MaxPass       float64 `json:"maxPassMs"`
}

type memberJSON struct {
	Conn    uint64 `json:"conn"`
	Client  string `json:"clientId"`
	Remote  string `json:"remote"`
	Room    string `json:"room"`
	Behind  uint64 `json:"behind"` // frames
	Blocked bool   `json:"blocked"`
}

// serveConnections answers /connections?n=20: totals, loops, rooms by class, the n rooms with the
// most members and the n members that lack the most. It waits up to twice loopWait for loops and
// appenders, and names those that do not answer.
func (s *Server) serveConnections(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("n"), "20"))
	if err != nil || n < 1 || n > 1000 {
		admin.Refuse(w, http.StatusBadRequest, "n must be a number from 1 to 1000")
		return
	}
	e := s.engine.Load()
	if e == nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "the public port is not open yet")
		return
	}
	stats := e.Stats()
	out := connectionsJSON{
		Connections: stats.Connections, Authenticated: stats.Authenticated, Pending: s.limit.Pending.Load(),
		Subscriptions: stats.Members, Wildcards: stats.Wildcards,
		Loops: []loopJSON{}, Classes: map[string]int64{}, TopRooms: []rooms.RoomInfo{}, Slowest: []memberJSON{},
		Unanswered: []string{},
	}
	for _, l := range stats.Loops {
		out.Loops = append(out.Loops, loopJSON{
			l.Connections, l.Authenticated, l.Members, l.Wildcards, l.Blocked, l.Frames, l.Bytes, l.Sends, l.Partial,
			l.LastPass.Seconds() * 1e3, l.MaxPass.Seconds() * 1e3,
		})
	}
	for _, p := range s.catalog.Patterns() {
		out.Classes[p.Class.Name] += p.Rooms()
	}
	top, late := s.table.TopRooms(n, loopWait)
	out.TopRooms, out.Unanswered = append(out.TopRooms, top...), append(out.Unanswered, late...)
	slowest, late := e.Slowest(n, loopWait)
	out.Unanswered = append(out.Unanswered, late...)
	for _, m := range slowest {
		out.Slowest = append(out.Slowest,
			memberJSON{m.Conn.ID(), s.handler.ClientID(m.Conn), m.Conn.Remote().String(), m.Room, m.Behind, m.Blocked})
	}
	admin.Answer(w, http.StatusOK, out)
}

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
