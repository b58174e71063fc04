package server

import (
	"context"
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
)

// admin is the internal port.
type admin struct {
	http     *http.Server
	log      *slog.Logger
	listener atomic.Pointer[net.Listener]
}

// newAdmin lays out the port. Everything on it answers JSON, the Prometheus form of
// /metrics and pprof apart.
func newAdmin(s *Server) *admin {
	mux := http.NewServeMux()
	paths := []string{"/health", "/livez", "/readyz", "/metrics", "/connections", "/publish"}
	get := func(path string, f http.HandlerFunc) { mux.Handle(path, allow(f, http.MethodGet, http.MethodHead)) }
	get("/health", s.serveHealth)
	get("/livez", s.serveLivez)
	get("/readyz", s.serveReadyz)
	get("/metrics", s.serveMetrics)
	get("/connections", s.serveConnections)
	mux.Handle("/publish", allow(s.servePublish, http.MethodPost))
	if s.cfg.Admin.Direct {
		mux.Handle("/debug/append", allow(s.direct.serve, http.MethodPost))
	}
	if s.cfg.Admin.Pprof {
		paths = append(paths, "/debug/pprof/")
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no %s here; there are %s", r.URL.Path, strings.Join(paths, " "))
	})
	return &admin{log: s.log, http: &http.Server{
		// A page in an operator's browser must not publish to Kafka.
		Handler:           http.NewCrossOriginProtection().Handler(mux),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}}
}

func (a *admin) start(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot open the internal port: %w; set admin.listen to another one", err)
	}
	a.listener.Store(&ln)
	go func() {
		if err := a.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the internal port has failed", "error", err)
		}
	}()
	return nil
}

func (a *admin) addr() net.Addr {
	if ln := a.listener.Load(); ln != nil {
		return (*ln).Addr()
	}
	return nil
}

// stop lets requests end for a moment; a stream or a profile is cut.
func (a *admin) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.http.Shutdown(ctx); err != nil {
		return a.http.Close()
	}
	return nil
}

// allow answers other methods than the given ones with 405.
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
	_, _ = w.Write(append(b, '\n')) // whoever asked may be gone
}

// refuse writes an error as JSON.
func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	answer(w, code, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}
