package tlsconn

import (
	"errors"
	"io"
	"net"
	"time"
)

// wire is a Conn as crypto/tls sees it: the net.Conn that its records come from and go to.
type wire Conn

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
	// ErrMore is Conn.Read's when nothing more is whole.
	ErrMore    net.Error = more{}
	errTooMuch           = errors.New("a client makes us answer, and does not read")
)

// Read takes ciphertext that came: during the handshake it waits for some.
func (w *wire) Read(b []byte) (int, error) {
	if w.in == nil {
		return (*Conn)(w).await(b)
	}
	if len(w.in) == 0 {
		return 0, ErrMore
	}
	n := copy(b, w.in)
	w.records.pass(b[:n])
	w.in = w.in[n:]
	return n, nil
}

// await is Read for the worker, which gives its place back while it waits.
func (t *Conn) await(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hello
	if len(h.in) == 0 && !h.over {
		t.mu.Unlock()
		h.workers.park(t)
		t.mu.Lock()
		for len(h.in) == 0 && !h.over {
			h.cond.Wait()
		}
		over := len(h.in) == 0
		t.mu.Unlock()
		h.workers.unpark(t, over)
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
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	if len(w.rest) == 0 {
		var err error
		if n, err = w.owner.Send(b); err != nil {
			return 0, err
		}
	} else if len(w.rest)+len(b) > maxRest {
		return 0, errTooMuch
	}
	w.rest = append(w.rest, b[n:]...)
	return len(b), nil
}

// push sends what waits; mu is held.
func (t *Conn) push() error {
	if len(t.rest) == 0 {
		return nil
	}
	n, err := t.owner.Send(t.rest)
	if t.rest = t.rest[n:]; len(t.rest) == 0 {
		t.rest = nil
	}
	return err
}

// Close does nothing: the poller closes descriptors.
func (*wire) Close() error { return nil }

// LocalAddr is not told.
func (*wire) LocalAddr() net.Addr { return nil }

// RemoteAddr is not told either: the owner knows it.
func (*wire) RemoteAddr() net.Addr { return nil }

// SetDeadline does nothing: the loop's timers end what takes too long.
func (*wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing either.
func (*wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no write waits.
func (*wire) SetWriteDeadline(time.Time) error { return nil }
