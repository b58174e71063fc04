package loop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"tapecast/loop/netpoll"
	"tapecast/loop/tlsconn"
	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

// Config configures an Engine. Zero means the default that the comment states.
type Config struct {
	// Addr is HOST:PORT to listen on; port 0 lets the kernel choose.
	Addr string
	// Path of the upgrade requests; empty: any.
	Path string
	// Files are served beside it.
	Files []*upgrade.File
	// Stream is the path of streams of events, for clients that cannot have WebSocket. Empty: none.
	Stream string
	// Origins reports whether pages of an origin may read streams. Nil: all may.
	Origins func(origin string) bool
	// Loops is the number of loops, which own the connections. Each uses one processor at most.
	// Zero means half of the processors: the pollers, the appenders and the kernel need the others.
	Loops int
	// Pollers is the number of pollers, which read. Zero means a quarter of the processors, but at
	// least one.
	Pollers int

	// Table holds the rooms. Nil: there are none (an echo).
	Table   *rooms.Table
	Handler Handler
	// Recall reads again what the tapes no longer hold. It must not block. Nil: nothing can be read
	// again.
	Recall func(*rooms.Recall)
	// PositionsAt finds the positions of a pattern's topic at a time, in ms since 1970. It must not
	// block. The user pays for it. If Kafka no longer has everything since then, the error is a
	// *rooms.TooOldError with what is left. Nil: nothing can be found.
	PositionsAt func(p *rooms.Pattern, ms int64, user string, done func(rooms.Positions, error))
	// SnapshotBegins is called on a loop before a member is sent the last values of a room, as a
	// snapshot or to resume. keys is how many there are. An error forbids the join. It must not
	// block. Nil: all are allowed.
	SnapshotBegins func(c *Conn, room string, keys int) error
	// SnapshotSent is called on a loop with the bytes that such a member was sent, from time to
	// time and at the end. It must not block. Nil: they are not counted.
	SnapshotSent func(c *Conn, room string, n int64)
	// RecallBegins is called on a loop before what a connection lacks is read again. It returns how long
	// that must wait, or 0, and whether what comes is counted. Then the connection's next read begins when
	// this one was given and counted. It must not block. Nil: nothing has to wait, and nothing is counted.
	RecallBegins func(c *Conn) (wait time.Duration, counted bool)
	// RecallGiven is called on a loop with the bytes of a part that a connection was given. Nil: they are
	// not counted.
	RecallGiven func(c *Conn, n int64)
	// BytesPerSecond returns how many bytes a second a connection may be sent over a longer time, and as
	// many at once. 0: any number. It is called on a loop when the connection authenticates and at
	// Conn.Measure, and must not block. Nil: there is no limit.
	BytesPerSecond func(c *Conn) int64
	// Metered is called on a loop when messages of a connection's rooms wait because of that, once a
	// second at most. It must not block. Nil: it is not called.
	Metered func(c *Conn)
	Log     *slog.Logger

	// MaxHead bounds an upgrade request, in bytes. A longer one is refused with 431. Zero means 16
	// KiB.
	MaxHead int
	// MaxMessage bounds a client's message, in bytes. A longer one closes the connection with 1009.
	// Zero means 256 KiB.
	MaxMessage int
	// MaxEarlyMessage is MaxMessage until the client has authenticated. Zero means MaxMessage.
	MaxEarlyMessage int
	// MaxIncoming bounds the memory of incomplete messages and TLS records, in bytes. At the bound
	// a connection is closed with 1013 (see incoming). Zero means 64 MiB.
	MaxIncoming int
	// Wildcards is how many wildcards a connection may hold, 255 at most. Zero: none.
	Wildcards int
	// RoomsPerWildcard is how many rooms a wildcard may join. Zero: any number.
	RoomsPerWildcard int
	// MaxConns bounds upgraded connections. At the bound an upgrade is refused with 503. Zero: only
	// descriptors bound them.
	MaxConns int
	// PerAddress bounds the sockets of one address (of IPv6: one /64). Zero: no bound.
	PerAddress int
	// HalfOpen bounds the sockets that have not been upgraded. At the bound the oldest socket of
	// the address with the most is dropped for a new one. Zero means 8192.
	HalfOpen int
	// HalfOpenPerAddress bounds such sockets of one address. Zero: no bound.
	HalfOpenPerAddress int
	// MaxPending bounds the connections that have yet to authenticate (Conn.Pend). At the bound one
	// of the address with the most is closed for one of another address. Zero: no bound.
	MaxPending int
	// Trusted peers are balancers. Each of their connections begins with a PROXY protocol header,
	// and counts for the address that the header names.
	Trusted []netip.Prefix
	// Forwarders are proxies that speak HTTP. Their requests count for the address that the field
	// ForwardedField, which they add to, names last besides their own (package forwarded).
	Forwarders []netip.Prefix
	// ForwardedField is the field: X-Forwarded-For, or Forwarded.
	ForwardedField string
	// Knock is called for each valid request, with the client's address, before it is counted as a
	// client. What it returns refuses the request, or is zero. It runs where Handler.Open does, and
	// must not block. Nil: it refuses none.
	Knock func(from netip.AddrPort) upgrade.Verdict
	// Limited is called for each socket that was refused or dropped, with its address. It may be
	// called on any goroutine and must not block. Nil: it is not called.
	Limited func(l Limit, from netip.AddrPort)

	HandshakeTimeout time.Duration // for the upgrade request; zero means 10 s
	PingEvery        time.Duration // between pings; zero means 25 s
	PongTimeout      time.Duration // silence after an unanswered ping; zero means 60 s

	// TLS makes the port wss only. Nil: ws. It is used as it is, except for what TuneTLS sets. What
	// its GetConfigForClient returns must have been passed to TuneTLS.
	TLS *tls.Config
	// TLSHandshakes is how many handshakes compute at a time. Others wait, and all wait for passes
	// to end. Zero means 256.
	TLSHandshakes int
	// TLSWaiting is how many handshakes may wait for their clients, each on a goroutine of its own.
	// At the bound the oldest one of the address with the most is dropped. Zero means 4096.
	TLSWaiting int
	// TLSEnded is called after each TLS handshake, with the certificate that the client has proved to
	// have (nil: none) and, if the handshake failed, why. It runs on the handshake's worker and must not
	// block. Nil: it is not called.
	TLSEnded func(from netip.AddrPort, certificate *x509.Certificate, err error)

	// SendBuffer is SO_SNDBUF, in bytes (the kernel doubles it). Zero leaves
	// it to the kernel, which lets a socket take megabytes.
	SendBuffer int
	// NotSentLowat is TCP_NOTSENT_LOWAT, in bytes: how much the kernel takes beyond what fits the
	// peer's window. Zero: no bound.
	NotSentLowat int

	wall func() time.Time // the wall clock, for tests; nil: time.Now
}

func (c *Config) defaults() {
	cpus := runtime.GOMAXPROCS(0)
	set(&c.Loops, max(1, cpus/2))
	set(&c.Pollers, max(1, cpus/4))
	set(&c.MaxHead, upgrade.MaxRequest)
	set(&c.MaxMessage, 256<<10)
	set(&c.MaxEarlyMessage, c.MaxMessage)
	set(&c.MaxIncoming, 64<<20)
	set(&c.TLSHandshakes, 256)
	set(&c.TLSWaiting, 4096)
	set(&c.HalfOpen, 8192)
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		TuneTLS(c.TLS)
	}
	set(&c.HandshakeTimeout, 10*time.Second)
	set(&c.PingEvery, 25*time.Second)
	set(&c.PongTimeout, time.Minute)
	c.limitNothing()
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// set sets v to its default if it is not above zero.
func set[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Engine accepts connections and runs the loops that own them.
type Engine struct {
	cfg   Config
	site  upgrade.Site
	net   *netpoll.Engine
	loops []*Loop
	start time.Time

	gate       gate
	incoming   incoming
	handshakes *tlsconn.Handshakes

	stopping atomic.Bool
	conns    atomic.Int64 // accepted and not yet gone
	ids      atomic.Uint64
	failed   atomic.Uint64 // accepts that failed
	misled   atomic.Uint64 // trusted peers without a good header
	lastFail atomic.Int64  // when a failed accept was last logged, ns by now; 0: never
	unnamed  atomic.Uint64 // requests of forwarders that do not name the client as they should
	// lastUnnamed is when such a request was last logged.
	lastUnnamed atomic.Int64
	putOff      [putOffs]atomic.Uint64
}

// maxBody bounds what a request for a stream says, since its client is not known yet.
const maxBody = 64 << 10

// New returns an engine. Start opens its port.
func New(cfg Config) (*Engine, error) {
	if cfg.Handler == nil {
		return nil, errors.New("loop: an engine needs a handler")
	}
	cfg.defaults()
	e := &Engine{cfg: cfg, start: time.Now(), site: upgrade.Site{
		Path: cfg.Path, Files: cfg.Files, MaxHead: cfg.MaxHead, Stream: cfg.Stream,
		MaxBody: min(cfg.MaxMessage, maxBody), Allows: cfg.Origins,
	}}
	e.gate.init(&cfg)
	e.incoming.init(&cfg)
	e.gate.incoming = &e.incoming
	e.handshakes = tlsconn.NewHandshakes(tlsconn.Config{
		TLS: cfg.TLS, AtOnce: cfg.TLSHandshakes, Waiting: cfg.TLSWaiting, Timeout: cfg.HandshakeTimeout,
		Ended: cfg.handshakeEnded(),
	})
	e.net = e.newNet()
	for i := range cfg.Loops {
		l, err := newLoop(e, i)
		if err != nil {
			for _, l := range e.loops {
				l.release()
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Start opens the port, and starts the loops and pollers.
func (e *Engine) Start() error {
	if err := e.net.Listen(); err != nil {
		return err
	}
	for _, l := range e.loops {
		go l.run()
	}
	if err := e.net.Start(); err != nil {
		e.stopLoops()
		return err
	}
	if err := e.net.AwaitReady(); err != nil {
		e.Stop()
		return err
	}
	return nil
}

// Addr returns the address of the port, once the engine has started.
func (e *Engine) Addr() net.Addr { return e.net.Addr() }

// feeds returns the topics of the table, if there is one.
func (e *Engine) feeds() []*rooms.Feed {
	if e.cfg.Table == nil {
		return nil
	}
	return e.cfg.Table.Feeds()
}

// StopAccepting closes the port. Connections stay.
func (e *Engine) StopAccepting() error { return e.net.StopAccepting() }

// stopWait is how long Stop waits for the pollers to close the connections.
const stopWait = 5 * time.Second

// Stop ends all connections at once, then the pollers and the loops.
func (e *Engine) Stop() error {
	err := e.net.StopAccepting()
	e.gate.stop()
	e.stopping.Store(true)
	for _, l := range e.loops {
		l.post(event{kind: evDo, arg: func(l *Loop) {
			for _, c := range l.life.conns {
				l.life.hangUp(c)
			}
		}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if werr := e.waitEmpty(ctx); werr != nil {
		err = errors.Join(err, fmt.Errorf("cannot end %d connections: %w", e.conns.Load(), werr))
	}
	ended := make(chan struct{})
	go func() { e.net.Stop(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("cannot stop the pollers within %v", stopWait))
	}
	e.stopLoops()
	return err
}

func (e *Engine) stopLoops() {
	for _, l := range e.loops {
		l.do(func(l *Loop) { l.done = true })
		<-l.ended
	}
}

// Heartbeats returns the heartbeats of the loops, the pollers, the acceptor and the workers of TLS
// handshakes.
func (e *Engine) Heartbeats() []*heartbeat.Counter {
	out := append(e.net.Heartbeats(), e.handshakes.Heartbeat())
	for _, l := range e.loops {
		out = append(out, &l.turns)
	}
	return out
}

// Stand makes the first loop stand still for d. It is for tests of the watchdog.
func (e *Engine) Stand(d time.Duration) {
	e.loops[0].do(func(*Loop) { time.Sleep(d) })
}

// StandAcceptor makes the acceptor stand still for d. It is for tests of the watchdog.
func (e *Engine) StandAcceptor(d time.Duration) error {
	g := &e.gate
	g.mu.Lock()
	g.falling += maxFalling
	g.mu.Unlock()
	time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.falling -= maxFalling
		g.landed.Broadcast()
	})
	c, err := net.Dial("tcp", e.Addr().String()) // it sleeps until a client comes
	if err == nil {
		err = c.Close()
	}
	return err
}

// StandTLS makes a worker of TLS handshakes stand still for d. It is for tests of the watchdog.
func (e *Engine) StandTLS(d time.Duration) { e.handshakes.Stand(d) }

// StandPoller makes one poller stand still for d. It is for tests of the watchdog.
func (e *Engine) StandPoller(d time.Duration) error { return e.net.StandPoller(d) }
