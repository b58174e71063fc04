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

// ConnSize is the memory that nbio takes for a connection, in bytes.
const ConnSize = int64(unsafe.Sizeof(nbio.Conn{}))

// Config configures an Engine. All functions must be set.
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
	// Accepted is called on the acceptor's goroutine with the address of a new socket. It returns
	// the owner, which is a pointer, and the owner's Socket.
	Accepted func(from netip.AddrPort) (owner any, s *Socket)
	// Opened is called next, when the Socket has its descriptor, before anything is read. If no
	// poller could take the socket, Lost is called instead.
	Opened, Lost func(owner any)
	// Failed is called when an accept failed, and after Lost. The next one follows after a pause.
	Failed func(error)
	// Readable is called on a poller's goroutine when there is input, or the peer is gone. buf is
	// the poller's buffer, to read into. The next event is reported after the owner has called
	// Socket.Again, or Resume after a Pause.
	Readable func(owner any, buf []byte)
	// Forgotten is called, on any goroutine, when nbio no longer watches the socket. The owner must
	// close it, if it has not yet.
	Forgotten func(owner any)
}

// Engine accepts connections and watches them for input.
type Engine struct {
	cfg     Config
	nb      *nbio.Engine
	ln      *acceptor
	pollers []heartbeat.Counter // by nbio's number of the poller
	accepts heartbeat.Counter   // the acceptor's
	opened  atomic.Uint64
}

// New returns an engine. Listen opens its port.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, pollers: make([]heartbeat.Counter, cfg.Pollers)}
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

// Start starts the acceptor and the pollers. If that fails, it closes the port. AwaitReady must
// follow.
func (e *Engine) Start() error {
	logging.SetLogger(nbioLog{e.cfg.Log})
	e.nb = nbio.NewEngine(nbio.Config{
		Network: "tcp",
		Addrs:   []string{e.ln.Addr().String()},
		NPoller: e.cfg.Pollers,
		// One-shot: input is reported again only when the owner asks for it, after that of others.
		// Level-triggered, it would be reported all the time while the owner does not read.
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

// Addr returns the address of the port, once Listen has opened it.
func (e *Engine) Addr() net.Addr { return e.ln.Addr() }

// Opened returns how many connections have been opened.
func (e *Engine) Opened() uint64 { return e.opened.Load() }

// StopAccepting closes the port. Connections stay.
func (e *Engine) StopAccepting() error { return e.ln.stop() }

// Stop ends the acceptor and the pollers, and waits for them. Connections should be gone.
func (e *Engine) Stop() { e.nb.Stop() }

// Heartbeats returns the heartbeats of the acceptor and the pollers. A poller's turn is one event
// of one connection. The acceptor's turn is one socket. It ends while the acceptor waits for a
// client, but not while it waits for the owner to have room.
func (e *Engine) Heartbeats() []*heartbeat.Counter {
	out := append(make([]*heartbeat.Counter, 0, 1+len(e.pollers)), &e.accepts)
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

// onRead is called for a connection that has input, or whose peer is gone.
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

// onClose is called by nbio on a goroutine of its own after it has forgotten a connection. If we
// have closed the connection, nothing is left to do.
func (e *Engine) onClose(nb *nbio.Conn, _ error) {
	e.opened.Load() // see onRead
	if owner := nb.Session(); owner != nil {
		if _, ok := owner.(*readiness); !ok {
			e.cfg.Forgotten(owner)
		}
	}
}

// nbioLog sends nbio's log lines to our log.
type nbioLog struct{ log *slog.Logger }

// SetLevel is for nbio's own logger.
func (nbioLog) SetLevel(int) {}

// Debug drops lines that are only for nbio's authors.
func (nbioLog) Debug(string, ...any) {}

// Info drops it as well.
func (nbioLog) Info(string, ...any) {}

// Warn passes a warning on.
func (n nbioLog) Warn(f string, v ...any) { n.log.Warn(fmt.Sprintf(f, v...)) }

// Error passes an error on.
func (n nbioLog) Error(f string, v ...any) { n.log.Error(fmt.Sprintf(f, v...)) }
