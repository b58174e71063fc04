package admin

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop"
)

// Port is an internal port: the one for operators, or the one for probes.
type Port struct {
	HTTP     *http.Server // with the deadlines of a request
	log      *slog.Logger
	key      string      // the configuration key that says where it listens
	tls      *tls.Config // nil: plain
	conns    conns
	listener atomic.Pointer[net.Listener]
}

// Paths lays out a port. All answers are JSON, except pprof and the Prometheus form of /metrics.
type Paths struct {
	mux   *http.ServeMux
	names []string // the paths that it lists
}

// NewPaths returns Paths without a path.
func NewPaths() *Paths { return &Paths{mux: http.NewServeMux()} }

// Add serves a path with these methods, and lists it.
func (p *Paths) Add(path string, f http.HandlerFunc, methods ...string) {
	p.Hide(path, f, methods...)
	p.names = append(p.names, path)
}

// Hide serves a path without listing it.
func (p *Paths) Hide(path string, f http.HandlerFunc, methods ...string) {
	p.mux.Handle(path, allow(f, methods...))
}

// Get serves a path for reading, and lists it.
func (p *Paths) Get(path string, f http.HandlerFunc) {
	p.Add(path, f, http.MethodGet, http.MethodHead)
}

// Port returns a port with these paths. key is what sets its address. secure is nil if it is plain.
func (p *Paths) Port(gate *Gate, key string, secure *tls.Config) *Port {
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, http.StatusNotFound, "%s does not exist on this port, which has %s", r.URL.Path,
			strings.Join(p.names, " "))
	})
	a := &Port{log: gate.log, key: key, tls: secure, HTTP: newHTTP(gate.guard(p.mux))}
	a.HTTP.ErrorLog = slog.NewLogLogger(gate.log.Handler(), slog.LevelDebug)
	return a
}

// Pprof serves the profiles to requests that have the token.
func (p *Paths) Pprof(gate *Gate) {
	running := NewTurns(gate, 4, 0)
	serve := func(f http.HandlerFunc) http.HandlerFunc {
		return gate.wantsToken(running.Guard(func(w http.ResponseWriter, r *http.Request) {
			defer KeepConn(r.Context())()
			if r.ContentLength == 0 { // a profile may take longer than the deadline for reading a request
				_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // fails only if the connection has ended
			}
			f(w, r)
		}))
	}
	p.Get("/debug/pprof/", serve(pprof.Index))
	get := func(path string, f http.HandlerFunc, more ...string) {
		p.mux.Handle(path, allow(serve(f), append(more, http.MethodGet, http.MethodHead)...))
	}
	get("/debug/pprof/cmdline", pprof.Cmdline)
	get("/debug/pprof/profile", pprof.Profile)
	get("/debug/pprof/symbol", pprof.Symbol, http.MethodPost)
	get("/debug/pprof/trace", pprof.Trace)
}

// Start opens the port.
func (a *Port) Start(addr string) error {
	ln, err := net.Listen(loop.ListenNetwork(addr), addr)
	if err != nil {
		return fmt.Errorf("cannot open the internal port: %w; set %s to another one", err, a.key)
	}
	a.listener.Store(&ln)
	a.conns.Listener, a.conns.most = ln, MaxConnections
	serve := net.Listener(&a.conns)
	if a.tls != nil {
		serve = tls.NewListener(serve, a.tls)
	}
	go func() {
		if err := a.HTTP.Serve(serve); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the internal port has failed", "error", err, "key", a.key)
		}
	}()
	return nil
}

// Addr returns where the port listens, or nil if it does not.
func (a *Port) Addr() net.Addr {
	if ln := a.listener.Load(); ln != nil {
		return (*ln).Addr()
	}
	return nil
}

// Stop gives requests a moment to end. A stream or a profile is cut.
func (a *Port) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.HTTP.Shutdown(ctx); err != nil {
		return a.HTTP.Close()
	}
	return nil
}

// Connections returns how many connections are open.
func (a *Port) Connections() int { return a.conns.count() }

// Kept returns how many connections do not give way to a new one.
func (a *Port) Kept() int {
	a.conns.mu.Lock()
	defer a.conns.mu.Unlock()
	n := 0
	for _, c := range a.conns.open {
		if c.kept > 0 {
			n++
		}
	}
	return n
}

// Dropped returns how many connections gave way to others.
func (a *Port) Dropped() uint64 { return a.conns.dropped.Load() }

func allow(f http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(methods, r.Method) {
			f(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		Refuse(w, http.StatusMethodNotAllowed, "%s takes %s", r.URL.Path, strings.Join(methods, " or "))
	})
}

// Answer writes v as JSON.
func Answer(w http.ResponseWriter, code int, v any) {
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

// Refuse writes an error as JSON.
func Refuse(w http.ResponseWriter, code int, format string, args ...any) {
	Answer(w, code, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

// Bounds for a client of an internal port. A request that stays incomplete ends after readTime.
const (
	MaxConnections = 64 // of each port
	headerTime     = 5 * time.Second
	readTime       = 10 * time.Second
	WriteTime      = 30 * time.Second // more than Kafka has to take a record
	idleTime       = 2 * time.Minute
	headerBytes    = 16 << 10
)

// conns bounds the connections of an internal port. At the bound the oldest one that is not kept
// gives way to a new one, so that probes get in, whatever else is held open.
type conns struct {
	net.Listener
	most    int
	dropped atomic.Uint64

	mu   sync.Mutex
	open []*tracked // in the order of arrival
}

type tracked struct {
	net.Conn
	table *conns
	kept  int // requests that keep it; under table.mu
}

// Accept returns the next connection for which there is room.
func (a *conns) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn := a.admit(c); conn != nil {
			return conn, nil
		}
		_ = c.Close() // nothing was sent either way
	}
}

// admit makes room for a connection. It returns nil if all open connections are kept.
func (a *conns) admit(c net.Conn) *tracked {
	conn := &tracked{Conn: c, table: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= a.most {
		a.dropped.Add(1)
		oldest := slices.IndexFunc(a.open, func(o *tracked) bool { return o.kept == 0 })
		if oldest < 0 {
			return nil
		}
		_ = a.open[oldest].Conn.Close() // its reader sees it
		a.open = slices.Delete(a.open, oldest, oldest+1)
	}
	a.open = append(a.open, conn)
	return conn
}

// Close closes the connection and no longer counts it.
func (c *tracked) Close() error {
	c.table.mu.Lock()
	if at := slices.Index(c.table.open, c); at >= 0 {
		c.table.open = slices.Delete(c.table.open, at, at+1)
	}
	c.table.mu.Unlock()
	return c.Conn.Close()
}

func (a *conns) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.open)
}

type connKey struct{}

// withConn lets KeepConn find the connection of a request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// KeepConn keeps a request's connection: until release it does not give way to a new one.
func KeepConn(ctx context.Context) (release func()) {
	c, ok := ctx.Value(connKey{}).(*tracked)
	if !ok {
		return func() {}
	}
	c.table.keep(c, 1)
	return func() { c.table.keep(c, -1) }
}

func (a *conns) keep(c *tracked, n int) {
	a.mu.Lock()
	c.kept += n
	a.mu.Unlock()
}

// newHTTP returns a server that bounds the time and the headers of a peer. It speaks HTTP/1 only,
// so that a connection has one request at a time and the bounds apply to requests.
func newHTTP(h http.Handler) *http.Server {
	var only http.Protocols
	only.SetHTTP1(true)
	return &http.Server{
		Handler: h, Protocols: &only, ConnContext: withConn,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: WriteTime, IdleTimeout: idleTime,
		MaxHeaderBytes: headerBytes,
	}
}

// GiveTime moves the deadlines of a request that takes long.
func GiveTime(w http.ResponseWriter, read, write time.Duration) {
	at := func(d time.Duration) (t time.Time) {
		if d > 0 {
			t = time.Now().Add(d)
		}
		return t
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(at(read)) // it fails only if the connection has ended
	_ = c.SetWriteDeadline(at(write))
}
