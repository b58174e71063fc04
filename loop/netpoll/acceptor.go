package netpoll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptor is nbio's listener. It accepts bare descriptors. A net.TCPConn of the standard library
// would cost a registration with the runtime's own poller, and the memory of two addresses for the
// life of the connection.
type acceptor struct {
	engine *Engine
	ln     *net.TCPListener
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool // no more connections are accepted
	once   sync.Once
	over   chan struct{} // closed with the engine
	asked  chan struct{} // closed when nbio first asks for a connection
	asking sync.Once

	last accepted // not yet opened: nbio calls Accept and its OnOpen in turn
}

// accepted is a connection that nbio has not opened.
type accepted struct {
	owner  any
	socket *Socket
}

// userTimeout ends a peer that acknowledges nothing for that long.
const userTimeout = 90 * time.Second

// backoff is the pause after an accept that failed, mostly because descriptors or memory ran out.
const backoff = 50 * time.Millisecond

// errLost is of a connection that was accepted with the last descriptor: nbio takes a second one.
var errLost = fmt.Errorf("the poller needs another descriptor: %w", unix.EMFILE)

func listen(e *Engine) (*acceptor, error) {
	cfg := &e.cfg
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// Accepted sockets inherit these.
		set := func(fd uintptr, level, opt, value int) {
			if err == nil && value > 0 {
				err = unix.SetsockoptInt(int(fd), level, opt, value)
			}
		}
		cerr := c.Control(func(fd uintptr) {
			set(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			// Urgent data is read like other data. Otherwise a poller would be told of it for as
			// long as nobody reads it.
			set(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
			set(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
			set(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.SendBuffer)
			set(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, cfg.NotSentLowat)
		})
		return errors.Join(cerr, err)
	}}
	ln, err := lc.Listen(context.Background(), cfg.Network, cfg.Addr)
	if err != nil {
		return nil, err
	}
	a := &acceptor{engine: e, ln: ln.(*net.TCPListener), over: make(chan struct{}), asked: make(chan struct{})}
	if err := a.open(); err != nil {
		ln.Close()
		return nil, err
	}
	return a, nil
}

// open makes the runtime watch a duplicate of the listening descriptor, since a net.Listener lets
// nobody else accept.
func (a *acceptor) open() error {
	raw, err := a.ln.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	cerr := raw.Control(func(ln uintptr) { fd, err = unix.FcntlInt(ln, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(cerr, err); err != nil {
		return err
	}
	a.file = os.NewFile(uintptr(fd), "listener")
	a.raw, err = a.file.SyscallConn()
	return err
}

// Accept waits for the next connection and tells the engine's owner.
func (a *acceptor) Accept() (net.Conn, error) {
	a.asking.Do(func() { close(a.asked) })
	cfg := &a.engine.cfg
	if a.last.owner != nil { // nbio could not take it: the descriptors have run out
		cfg.Lost(a.last.owner)
		a.last = accepted{}
		cfg.Failed(errLost)
		time.Sleep(backoff)
	}
	turns := &a.engine.accepts
	for {
		turns.Begin()
		cfg.AwaitRoom()
		turns.End() // it waits for a client here
		fd, from, err := a.accept()
		turns.Begin() // until nbio asks again
		switch {
		case err == nil:
			a.last.owner, a.last.socket = cfg.Accepted(addrOf(from))
			return bare{fd: fd}, nil
		case a.closed.Load():
			// nbio would ask again at once.
			turns.End()
			<-a.over
			return nil, net.ErrClosed
		case err == unix.EINTR || err == unix.ECONNABORTED:
		default:
			cfg.Failed(err)
			time.Sleep(backoff)
		}
	}
}

func (a *acceptor) accept() (fd int, from unix.Sockaddr, err error) {
	rerr := a.raw.Read(func(ln uintptr) bool {
		fd, from, err = unix.Accept4(int(ln), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	})
	if rerr != nil {
		err = rerr
	}
	return fd, from, err
}

// addrOf returns the address, or an invalid one if it is neither IPv4 nor IPv6.
func addrOf(from unix.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// stop accepts no more connections. Accept then waits for Close.
func (a *acceptor) stop() error {
	if a.closed.Swap(true) {
		return nil
	}
	return errors.Join(a.ln.Close(), a.file.Close())
}

// Close is called by nbio when its engine stops.
func (a *acceptor) Close() error {
	err := a.stop()
	a.once.Do(func() { close(a.over) })
	return err
}

// Addr returns the address that the acceptor listens on.
func (a *acceptor) Addr() net.Addr { return a.ln.Addr() }

// bare is an accepted descriptor on its way into nbio, which duplicates it and closes this one.
// Since bare is not a connection of the standard library, nbio leaves reading, writing and closing
// the duplicate to us (TestNbioLeavesTheDescriptorToUs). Only these methods of net.Conn are called.
type bare struct {
	net.Conn
	fd int
}

// SyscallConn gives nbio the descriptor.
func (b bare) SyscallConn() (syscall.RawConn, error) { return rawBare{fd: b.fd}, nil }

// Close closes the descriptor that nbio has duplicated.
func (b bare) Close() error { return unix.Close(b.fd) }

// LocalAddr returns nil: nbio would keep it for each connection.
func (bare) LocalAddr() net.Addr { return nil }

// RemoteAddr returns nil too: the owner keeps it in fewer bytes.
func (bare) RemoteAddr() net.Addr { return nil }

type rawBare struct {
	syscall.RawConn
	fd int
}

// Control calls f with the descriptor.
func (r rawBare) Control(f func(fd uintptr)) error { f(uintptr(r.fd)); return nil }
