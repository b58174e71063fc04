package worker

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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
