package tlsconn

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"time"
)

// netConn is a Conn as crypto/tls sees it: the net.Conn that it reads records from and writes them to.
type netConn Conn

// ErrMore is returned by Conn.Read when nothing more is complete. It is a temporary net.Error: after
// the handshake, crypto/tls then keeps an incomplete record and continues with the next read. After
// any other error it would fail forever.
var ErrMore = os.ErrDeadlineExceeded

var errTooMuch = errors.New("the client does not read the answers to its TLS messages")

// Read returns ciphertext that came. During the handshake it waits for some.
func (w *netConn) Read(b []byte) (int, error) {
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

// await is Read for the worker. While it waits another handshake computes.
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

// Write sends one record, or one flight of the handshake, after what waits. crypto/tls calls it in
// the order of encryption. What the kernel does not take is copied, since crypto/tls uses b again.
func (w *netConn) Write(b []byte) (int, error) {
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

// push sends what waits. mu is held.
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

// Close does nothing, since the poller closes descriptors.
func (*netConn) Close() error { return nil }

// LocalAddr returns nil.
func (*netConn) LocalAddr() net.Addr { return nil }

// RemoteAddr returns nil: the owner knows it.
func (*netConn) RemoteAddr() net.Addr { return nil }

// SetDeadline does nothing: the loop's timers end what takes too long.
func (*netConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing either.
func (*netConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no write waits.
func (*netConn) SetWriteDeadline(time.Time) error { return nil }

// smallRecord is the size below which a TLS record is small, without its header. The records that
// crypto/tls handles by itself are small: key updates, for each of which it derives keys and may
// answer, and empty records. crypto/tls bounds only how many of them come in a row.
const smallRecord = 128

// records counts the small records in ciphertext that comes in pieces, by their headers (RFC 8446,
// 5.1). Its zero value is at the start of a record.
type records struct {
	small uint32
	left  uint16  // bytes of the record that are missing
	nhead uint8   // bytes of the header that have come
	size  [2]byte // the last of them
}

// pass counts in the next piece.
func (r *records) pass(b []byte) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(int(r.left), len(b))
			r.left -= uint16(n)
			b = b[n:]
			continue
		}
		if r.nhead >= 3 {
			r.size[r.nhead-3] = b[0]
		}
		b = b[1:]
		if r.nhead++; r.nhead < 5 {
			continue
		}
		r.nhead, r.left = 0, uint16(r.size[0])<<8|uint16(r.size[1])
		if r.left < smallRecord && r.small < math.MaxUint32 {
			r.small++
		}
	}
}
