package worker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

func sockaddr(s string) (unix.Sockaddr, int, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is not an address with a port: %w", s, err)
	}
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}, unix.AF_INET6, nil
}

// join connects clients, some at a time, until all have joined, one fails, or the deadline (monotonic).
func (l *loop) join(clients int, deadline int64) error {
	clients = min(clients, len(l.clients))
	began, first := l.clock.Now(), l.dialled
	for l.joined+l.gone < clients {
		wait := pollFor
		for l.dialing < l.job.InFlight && l.dialled < clients {
			if l.job.Rate > 0 {
				due := began + int64(float64(l.dialled-first)/l.job.Rate*1e9)
				if left := time.Duration(due - l.clock.Now()); left > 0 {
					wait = min(wait, left)
					break
				}
			}
			if err := l.dial(l.dialled); err != nil {
				return err
			}
		}
		l.turn(wait)
		if l.failed != nil {
			return l.failed
		}
		if l.clock.Now() > deadline {
			return fmt.Errorf("only %d of %d clients joined in time: the others still wait for the gateway",
				l.joined, clients)
		}
	}
	return nil
}

func (l *loop) dial(i int) error {
	c := &l.clients[i]
	var err error
	if c.token == "" {
		if c.token, err = l.sign.Sign(job.UserName(l.job.First + i)); err != nil {
			return err
		}
	}
	fd, err := unix.Socket(l.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make a socket for client %d: %w", i, err)
	}
	c.fd = int32(fd)
	l.dialled++
	l.dialing++
	c.state = stConnecting
	c.dialed = l.clock.Now()
	if err := l.prepare(fd, i); err != nil {
		return err
	}
	err = unix.Connect(fd, l.addr)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("cannot connect to %s: %w", l.job.Addr, err)
	}
	// The edge for writability comes once, when the connection is made. Requests are
	// small and never fill the send buffer.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(i)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("cannot watch client %d: %w", i, err)
	}
	return nil
}

// prepare sets the socket's options that must be set before it connects.
func (l *loop) prepare(fd, i int) error {
	if l.job.RcvBuf > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, l.job.RcvBuf); err != nil {
			return fmt.Errorf("cannot set a receive buffer of %d bytes: %w", l.job.RcvBuf, err)
		}
	}
	if l.stamped(i) {
		if err := askForStamps(fd); err != nil {
			return fmt.Errorf("cannot ask for receive times: %w", err)
		}
	}
	if len(l.sources) == 0 {
		return nil
	}
	// Only the address is bound. The kernel chooses the port when it knows the target, so
	// one source address serves as many connections as there are ports.
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("cannot bind without a port: %w", err)
	}
	if err := unix.Bind(fd, l.sources[i%len(l.sources)]); err != nil {
		return fmt.Errorf("cannot bind to source address %s: %w", l.job.Sources[i%len(l.sources)], err)
	}
	return nil
}

func (l *loop) connected(i int, c *client, ev uint32) {
	if ev&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return
	}
	if e, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		l.end(i, c, "cannot connect to "+l.job.Addr+": "+unix.Errno(e).Error())
		return
	}
	_ = unix.SetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // at worst slower
	if l.tls != nil {
		l.secure(i, c)
		return
	}
	l.upgrade(i, c)
}

func (l *loop) upgrade(i int, c *client) {
	o := l.speaker.opening(c)
	c.state, c.token = stUpgrading, o.later
	l.write(i, c, proto.AppendUpgrade(nil, l.job.Host, o.path, o.subprotocol, o.token,
		proto.UpgradeKey(l.seed+uint64(i)), l.job.Deflate))
}

// manual reports whether the client itself names all rooms that it joins.
func (l *loop) manual() bool { return len(l.job.Rooms) > 0 && !l.job.Auto }

// enter asks to join the rooms, after the gateway has accepted the token.
func (l *loop) enter(i int, c *client) {
	rooms := l.roomsOf(i)
	var request []byte         // beside `authenticate`
	if len(l.job.Filter) > 0 { // only `subscribe` takes a filter
		request = fmt.Appendf(nil, `{"method":"subscribe","params":{"rooms":%s,"snapshot":false,"keys":%s},"id":%d}`,
			proto.List(rooms), proto.List(l.job.Filter), proto.EntryID)
	} else if l.job.Observe { // the answer to `subscribe` says which rooms have a chain
		request = fmt.Appendf(nil, proto.JoinRequest, proto.List(rooms), proto.EntryID)
	}
	if request != nil {
		rooms = nil
	}
	join := fmt.Sprintf(`{"method":"authenticate","params":{"join":%s%s},"id":1}`, proto.List(rooms), l.since(i))
	c.state = stEntering
	b := proto.AppendFrame(nil, proto.OpText, []byte(join))
	if request != nil {
		b = proto.AppendFrame(b, proto.OpText, request)
	}
	l.write(i, c, b)
}

func (l *loop) roomsOf(i int) []string {
	var rooms []string
	for _, room := range l.job.Rooms {
		if !strings.Contains(room, "{key}") {
			rooms = append(rooms, strings.ReplaceAll(room, "{user}", job.UserName(l.job.First+i)))
			continue
		}
		for k := range l.assignments {
			if d := &l.assignments[k]; slices.Contains(d.Rooms, room) {
				for _, s := range d.StreamsOf(nil, l.job.First-l.job.Base+i) {
					rooms = append(rooms, d.Room(int64(s)))
				}
			}
		}
	}
	return rooms
}

func (l *loop) ask(i int, c *client, m string) {
	l.write(i, c, proto.AppendFrame(nil, proto.OpText, []byte(m)))
}

// write sends a request. It is far smaller than a send buffer, so a short write is a fault.
func (l *loop) write(i int, c *client, b []byte) {
	if c.wire != nil {
		if _, err := c.wire.tls.Write(b); err != nil {
			l.end(i, c, "connection broke: "+err.Error())
		}
		return
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		l.end(i, c, "connection broke: "+errno.Error())
	} else if int(n) != len(b) {
		l.end(i, c, fmt.Sprintf("the socket took only %d of a request's %d bytes", n, len(b)))
	}
}

// handshakeTime is how long a TLS handshake may wait for the gateway.
const handshakeTime = 30 * time.Second

// wire is one client's TLS, and the net.Conn under it. crypto/tls cannot pause a
// handshake, so it runs on a goroutine of its own. After that the loop lends ciphertext,
// and gets back the plaintext of whole records.
type wire struct {
	net.Conn // nil: crypto/tls calls only Read and Write, and the loop closes the socket
	tls      *tls.Conn
	fd       int
	own      bool // the handshake is over: Read gives the bytes that the loop lent
	in       []byte
}

type secured struct {
	client int
	err    error
}

func (l *loop) secure(i int, c *client) {
	c.state = stSecuring
	c.wire = &wire{fd: int(c.fd)}
	c.wire.tls = tls.Client(c.wire, l.tls)
	l.securing.Go(func() {
		err := c.wire.tls.Handshake()
		l.waking.Lock()
		l.secureds = append(l.secureds, secured{i, err})
		l.waking.Unlock()
		l.wakeUp()
	})
}

// upgradeSecured goes on with the clients whose handshakes are over.
func (l *loop) upgradeSecured() {
	l.waking.Lock()
	list := l.secureds
	l.secureds = nil
	l.waking.Unlock()
	for _, s := range list {
		c := &l.clients[s.client]
		if c.state != stSecuring {
			continue
		}
		if s.err != nil {
			l.end(s.client, c, "TLS: "+s.err.Error())
			continue
		}
		c.wire.own = true
		l.upgrade(s.client, c)
		if c.state != stGone { // events during the handshake were reported then
			l.receive(s.client, c, 0)
		}
	}
}

// decrypt gives the plaintext of a read to l.take, piece by piece.
func (l *loop) decrypt(i int, c *client, cipher []byte, now int64) error {
	room := l.headroom()
	c.wire.in = cipher
	for c.state != stGone {
		k := copy(l.buf[room-len(c.tail):], c.tail)
		n, err := c.wire.tls.Read(l.buf[room : room+maxRecord])
		if n > 0 {
			b := l.buf[room-k : room+n]
			used, err := l.take(i, c, b, now)
			if err != nil {
				return err
			}
			c.tail = append(c.tail[:0], b[used:]...)
		}
		if errors.Is(err, errNoMore) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxRecord is the most plaintext of one record (RFC 8446, 5.1).
const maxRecord = 16 << 10

// errNoMore ends a Read without ciphertext. It is temporary, so crypto/tls goes on with the next Read.
var errNoMore = os.ErrDeadlineExceeded

// Read is called by crypto/tls.
func (w *wire) Read(b []byte) (int, error) {
	if w.own {
		if len(w.in) == 0 {
			return 0, errNoMore
		}
		n := copy(b, w.in)
		w.in = w.in[n:]
		return n, nil
	}
	for deadline := time.Now().Add(handshakeTime); ; {
		n, err := unix.Read(w.fd, b)
		switch {
		case err == unix.EAGAIN:
			left := time.Until(deadline)
			if left <= 0 {
				return 0, os.ErrDeadlineExceeded
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return n, nil
		}
	}
}

// Write is called by crypto/tls. A client's message is far smaller than any send buffer.
func (w *wire) Write(b []byte) (int, error) {
	n, err := unix.Write(w.fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return max(n, 0), err
}
