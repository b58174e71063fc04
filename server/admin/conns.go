package admin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

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
