package netpoll

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"

	"tapecast/rooms/heartbeat"
)

// ConnSize is what nbio takes for a connection, in bytes.
const ConnSize = int64(unsafe.Sizeof(nbio.Conn{}))

// Config says where an Engine listens and whom it tells. None of its functions is nil.
type Config struct {
	Network string // "tcp" or "tcp4"
	Addr    string // HOST:PORT; port 0 lets the kernel choose
	Pollers int
	Log     *slog.Logger

	// SendBuffer is SO_SNDBUF of each socket, NotSentLowat its TCP_NOTSENT_LOWAT, in bytes.
	// Zero leaves it to the kernel.
	SendBuffer, NotSentLowat int

	// AwaitRoom is called before each accept, on the acceptor's goroutine, and may wait.
	AwaitRoom func()
	// Accepted is told where a socket came from, on the acceptor's goroutine, and returns
	// whose it is, a pointer, and that owner's Socket.
	Accepted func(from netip.AddrPort) (owner any, s *Socket)
	// Opened follows, when the Socket has its descriptor, and before anything is read.
	// Where no poller could be had, Lost is called in its place.
	Opened, Lost func(owner any)
	// Failed is told of an accept that failed. The next one is tried after a pause.
	Failed func(error)
	// Readable is called on a poller's goroutine when there is input, or the peer is gone.
	// buf is the poller's, for what is read. The next event is reported once the owner has
	// called Socket.Again, or Resume after a Pause.
	Readable func(owner any, buf []byte)
	// Forgotten is called, on some goroutine, when nbio watches the socket no longer: the
	// owner closes it, if it has not yet.
	Forgotten func(owner any)
}

// Engine accepts connections and watches them for input.
type Engine struct {
	cfg     Config
	nb      *nbio.Engine
	ln      *acceptor
	pollers []heartbeat.Beat // by nbio's number of the poller
	accepts heartbeat.Beat   // the acceptor's
	opened  atomic.Uint64
}

// New makes an engine; Listen opens its port.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, pollers: make([]heartbeat.Beat, cfg.Pollers)}
	for i := range e.pollers {
		e.pollers[i].Name = fmt.Sprintf("poller %d", i)
	}
	e.accepts.Name = "acceptor"
	return e
}

// Listen opens the port. Connections are taken from Start on.
func (e *Engine) Listen() (err error) {
	if e.ln, err = listen(e); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", e.cfg.Addr, err)
	}
	return nil
}

// Start starts the acceptor and the pollers; the port is closed where that fails. AwaitReady
// must follow.
func (e *Engine) Start() error {
	logging.SetLogger(nbioLog{e.cfg.Log})
	e.nb = nbio.NewEngine(nbio.Config{
		Network: "tcp",
		Addrs:   []string{e.ln.Addr().String()},
		NPoller: e.cfg.Pollers,
		// One-shot: input is reported again only when it is asked for, behind that of others.
		// Level-triggered, it would be reported all the time that nobody wants it.
		EpollMod:     nbio.EPOLLET,
		EPOLLONESHOT: nbio.EPOLLONESHOT,
		Listen:       func(string, string) (net.Listener, error) { return e.ln, nil },
	})
	e.nb.OnOpen(e.onOpen)
	e.nb.OnRead(e.onRead)
	e.nb.OnClose(e.onClose)
	if err := e.nb.Start(); err != nil {
		e.ln.Close()
		return fmt.Errorf("cannot start the pollers: %w", err)
	}
	return nil
}

// Addr is where the engine listens, once Listen has opened the port.
func (e *Engine) Addr() net.Addr { return e.ln.Addr() }

// Opened is how many connections have been opened.
func (e *Engine) Opened() uint64 { return e.opened.Load() }

// StopAccepting closes the port; connections stay.
func (e *Engine) StopAccepting() error { return e.ln.stop() }

// Stop ends the acceptor and the pollers, and waits for them. Connections should be gone.
func (e *Engine) Stop() { e.nb.Stop() }

// Heartbeats are the heartbeats of the acceptor and the pollers. A poller's turn is one event of
// one connection. The acceptor's is one socket: it waits for clients, but not for the owner
// to have room.
func (e *Engine) Heartbeats() []*heartbeat.Beat {
	out := append(make([]*heartbeat.Beat, 0, 1+len(e.pollers)), &e.accepts)
	for i := range e.pollers {
		out = append(out, &e.pollers[i])
	}
	return out
}

// onOpen runs on the acceptor's goroutine, right after Accept, before nbio
// watches the descriptor.
func (e *Engine) onOpen(nb *nbio.Conn) {
	if _, ok := nb.Session().(*readiness); ok {
		return
	}
	last := e.ln.last
	e.ln.last = accepted{}
	last.socket.open(nb)
	nb.SetSession(last.owner)
	e.cfg.Opened(last.owner)
	e.opened.Add(1) // after which onRead may see the owner
}

// onRead is told of a connection that has input, or whose peer is gone.
func (e *Engine) onRead(nb *nbio.Conn) {
	turns := &e.pollers[nb.Hash()%len(e.pollers)]
	turns.Begin()
	defer turns.End()
	e.opened.Load() // nbio passes nb on without any other synchronisation
	owner := nb.Session()
	if r, ok := owner.(*readiness); ok {
		r.tell()
		return
	}
	e.cfg.Readable(owner, e.nb.PollerBuffer(nb))
}

// onClose is called by nbio, on a goroutine of its own, after it has forgotten
// a connection: because we told it to, and then there is nothing left to do.
func (e *Engine) onClose(nb *nbio.Conn, _ error) {
	e.opened.Load() // see onRead
	if owner := nb.Session(); owner != nil {
		if _, ok := owner.(*readiness); !ok {
			e.cfg.Forgotten(owner)
		}
	}
}
