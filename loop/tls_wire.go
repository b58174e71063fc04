package loop

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// This file is secure as crypto/tls sees it: the net.Conn that its records come
// from and go to.

// more is the error of a read that finds nothing. crypto/tls keeps what it has
// of a record and goes on with the next read after an error that is temporary,
// once the handshake is over; any other would stay.
type more struct{}

// Error is never shown.
func (more) Error() string { return "no more input yet" }

// Timeout makes it a net.Error.
func (more) Timeout() bool { return true }

// Temporary says that reading may go on.
func (more) Temporary() bool { return true }

var (
	errMore    net.Error = more{}
	errTooMuch           = errors.New("a client makes us answer, and does not read")
)

// Read takes ciphertext that came: during the handshake it waits for some.
func (t *secure) Read(b []byte) (int, error) {
	if t.in == nil {
		return t.await(b)
	}
	if len(t.in) == 0 {
		return 0, errMore
	}
	n := copy(b, t.in)
	t.records.pass(b[:n])
	t.in = t.in[n:]
	return n, nil
}

// await is Read for the worker, which gives its place back while it waits.
func (t *secure) await(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hello
	if len(h.in) == 0 && !h.over {
		g := &t.conn.loop.engine.greeters
		t.mu.Unlock()
		g.park(t.conn)
		t.mu.Lock()
		for len(h.in) == 0 && !h.over {
			h.cond.Wait()
		}
		over := len(h.in) == 0
		t.mu.Unlock()
		g.unpark(t.conn, over)
		t.mu.Lock()
	}
	if len(h.in) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, h.in)
	t.records.pass(b[:n])
	h.in = h.in[n:]
	return n, nil
}

// Write sends one record, or one flight of the handshake, behind what waits.
// crypto/tls calls it in the order of its encryption, whoever has it encrypt;
// what the kernel does not take is kept, since b is its own buffer.
func (t *secure) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	if len(t.rest) == 0 {
		var err error
		if n, err = t.conn.sendBytes(b); err != nil {
			return 0, err
		}
	} else if len(t.rest)+len(b) > maxRest {
		return 0, errTooMuch
	}
	t.rest = append(t.rest, b[n:]...)
	return len(b), nil
}

// push sends what waits; mu is held.
func (t *secure) push() error {
	if len(t.rest) == 0 {
		return nil
	}
	n, err := t.conn.sendBytes(t.rest)
	if t.rest = t.rest[n:]; len(t.rest) == 0 {
		t.rest = nil
	}
	return err
}

// sendBytes is Socket.Write without its gathering, where taking nothing is no error.
func (c *Conn) sendBytes(b []byte) (int, error) {
	iov := [1]unix.Iovec{{Base: &b[0]}}
	iov[0].SetLen(len(b))
	n, err := c.sock.Write(iov[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		err = nil
	}
	return n, err
}

// Close does nothing: the poller closes descriptors.
func (*secure) Close() error { return nil }

// LocalAddr is not told.
func (*secure) LocalAddr() net.Addr { return nil }

// RemoteAddr is told by Conn.Remote.
func (*secure) RemoteAddr() net.Addr { return nil }

// SetDeadline does nothing: the loop's timers end what takes too long.
func (*secure) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing either.
func (*secure) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no write waits.
func (*secure) SetWriteDeadline(time.Time) error { return nil }
