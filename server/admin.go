package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync/atomic"
	"time"

	"tapecast/loop"
)

// admin is an internal port: the one for operators, or the one for probes.
type admin struct {
	http     *http.Server
	log      *slog.Logger
	key      string      // the configuration key that says where it listens
	tls      *tls.Config // nil: plain
	conns    adminConns
	dropped  atomic.Uint64
	listener atomic.Pointer[net.Listener]
}

// adminPaths lays out a port. Everything on it answers JSON, the Prometheus form of
// /metrics and pprof apart.
type adminPaths struct {
	mux   *http.ServeMux
	names []string // that it tells
}

func (p *adminPaths) add(path string, f http.HandlerFunc, methods ...string) {
	p.mux.Handle(path, allow(f, methods...))
	p.names = append(p.names, path)
}

func (p *adminPaths) get(path string, f http.HandlerFunc) {
	p.add(path, f, http.MethodGet, http.MethodHead)
}

// probes are what orchestrators and Prometheus ask for.
func (p *adminPaths) probes(s *Server) {
	p.get("/health", s.serveHealth)
	p.get("/livez", s.serveLivez)
	p.get("/readyz", s.serveReadyz)
	p.get("/metrics", s.scrapes.guard(s.serveMetrics))
}

// port is a port with the paths that were added.
func (p *adminPaths) port(s *Server, key string) *admin {
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "%s does not exist on this port, which has %s", r.URL.Path, strings.Join(p.names, " "))
	})
	a := &admin{log: s.log, key: key, http: newAdminHTTP(s.gate.guard(p.mux))}
	a.http.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	return a
}

// newAdmin is the port of admin.listen.
func newAdmin(s *Server) *admin {
	p := &adminPaths{mux: http.NewServeMux()}
	p.probes(s)
	// It asks every loop, and walks all members.
	p.get("/connections", newTurns(s.gate, 1, 10).guard(s.serveConnections))
	p.add("/publish", s.gate.writes(s.servePublish), http.MethodPost)
	if s.cfg.Admin.Direct {
		streams := newTurns(s.gate, 16, 0)
		p.mux.Handle("/debug/stand", allow(s.gate.writes(s.serveStand), http.MethodPost))
		p.mux.Handle("/debug/append", allow(s.gate.writes(streams.guard(s.direct.serve)), http.MethodPost))
	}
	if s.cfg.Admin.Pprof {
		p.pprof(s.gate)
	}
	a := p.port(s, "admin.listen")
	a.tls = s.adminCertificate.tlsConfig()
	return a
}

// newProbes is the port of admin.probes.
func newProbes(s *Server) *admin {
	p := &adminPaths{mux: http.NewServeMux()}
	p.probes(s)
	return p.port(s, "admin.probes")
}

func (p *adminPaths) pprof(gate *adminGate) {
	running := newTurns(gate, 4, 0)
	serve := func(f http.HandlerFunc) http.HandlerFunc {
		return gate.wantsToken(running.guard(func(w http.ResponseWriter, r *http.Request) {
			defer keepConn(r.Context())()
			if r.ContentLength == 0 { // a profile may take longer than a request may take to come
				_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a connection that takes none has ended
			}
			f(w, r)
		}))
	}
	p.get("/debug/pprof/", serve(pprof.Index))
	get := func(path string, f http.HandlerFunc, more ...string) {
		p.mux.Handle(path, allow(serve(f), append(more, http.MethodGet, http.MethodHead)...))
	}
	get("/debug/pprof/cmdline", pprof.Cmdline)
	get("/debug/pprof/profile", pprof.Profile)
	get("/debug/pprof/symbol", pprof.Symbol, http.MethodPost)
	get("/debug/pprof/trace", pprof.Trace)
}

func (a *admin) start(addr string) error {
	ln, err := net.Listen(loop.ListenNetwork(addr), addr)
	if err != nil {
		return fmt.Errorf("cannot open the internal port: %w; set %s to another one", err, a.key)
	}
	a.listener.Store(&ln)
	a.conns.Listener, a.conns.most, a.conns.dropped = ln, adminConnections, &a.dropped
	serve := net.Listener(&a.conns)
	if a.tls != nil {
		serve = tls.NewListener(serve, a.tls)
	}
	go func() {
		if err := a.http.Serve(serve); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the internal port has failed", "error", err, "key", a.key)
		}
	}()
	return nil
}

// addr returns where the port listens, or nil if it does not.
func (a *admin) addr() net.Addr {
	if a == nil {
		return nil
	}
	if ln := a.listener.Load(); ln != nil {
		return (*ln).Addr()
	}
	return nil
}

// stop gives requests a moment to end. A stream or a profile is cut.
func (a *admin) stop(ctx context.Context) error {
	if a == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.http.Shutdown(ctx); err != nil {
		return a.http.Close()
	}
	return nil
}

// writeAdminMetrics writes how the internal ports are used.
func (s *Server) writeAdminMetrics(m metricWriter) {
	open := s.admin.conns.count()
	if s.probes != nil {
		open += s.probes.conns.count()
	}
	m.gauge("tapecast_admin_connections", "Connections to the internal port, and that of probes.", float64(open))
	m.counter("tapecast_admin_connections_dropped_total", "Of those, closed because there were too many.",
		s.adminDropped())
	s.gate.writeMetrics(m)
}

// adminDropped returns how many connections to the internal ports gave way to others.
func (s *Server) adminDropped() uint64 {
	n := s.admin.dropped.Load()
	if s.probes != nil {
		n += s.probes.dropped.Load()
	}
	return n
}

// allow answers methods other than the given ones with 405.
func allow(f http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				f(w, r)
				return
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "%s takes %s", r.URL.Path, strings.Join(methods, " or "))
	})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: cannot encode %T: %v", v, err))
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the client may be gone
}

// refuse writes an error as JSON.
func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	answer(w, code, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}
