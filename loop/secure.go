package loop

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"math"
	"net/http"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tapecast/loop/tlsconn"
	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
)

// This file is the part of a connection that only TLS needs. Package tlsconn encrypts and decrypts.

// secured is a Conn as its TLS sees it (tlsconn.Owner). It is a type of its own so that Conn does
// not have these methods.
type secured Conn

func (s *secured) conn() *Conn { return (*Conn)(s) }

// Send passes ciphertext to the kernel.
func (s *secured) Send(b []byte) (int, error) {
	iov := [1]unix.Iovec{{Base: &b[0]}}
	iov[0].SetLen(len(b))
	n, err := s.sock.Write(iov[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		err = nil
	}
	return n, err
}

// Network returns the network that the client's address is counted as.
func (s *secured) Network() netip.Addr { return s.conn().network() }

// Decrypt lets the handshake's worker read in the poller's place.
func (s *secured) Decrypt(b []byte) { s.conn().decrypt(b) }

// Failed ends the connection.
func (s *secured) Failed(err error) {
	s.loop.log.Debug("a TLS handshake failed", "remote", s.conn().Remote().String(), "error", err)
	s.conn().cut()
}

// Evict makes the gate drop the connection.
func (s *secured) Evict() { s.loop.engine.gate.evict(s.conn(), LimitTLSWaiting) }

// handshakeEnded returns what is called after each handshake; nil: nothing.
func (c *Config) handshakeEnded() func(tlsconn.Owner, *x509.Certificate, error) {
	if c.TLSEnded == nil {
		return nil
	}
	return func(owner tlsconn.Owner, certificate *x509.Certificate, err error) {
		c.TLSEnded(owner.(*secured).conn().Remote(), certificate, err)
	}
}

// TuneTLS sets what the engine needs of a configuration for its port.
func TuneTLS(c *tls.Config) {
	c.NextProtos = []string{"http/1.1"}  // WebSocket starts from HTTP/1.1; h2 has no Upgrade
	c.DynamicRecordSizingDisabled = true // we choose the size of records ourselves
}

// Certificate returns the certificate that the client has proved to have in the TLS handshake, and
// that leads to one of Config.TLS.ClientCAs, and until when it does: intermediate ones may end before it.
// Nil: there is none. Only the handler's Open and Message may call it.
func (c *Conn) Certificate() (leaf *x509.Certificate, until time.Time) {
	if c.secure == nil {
		return nil, until
	}
	return c.secure.Certificate()
}

// Gone tells the loop.
func (s *secured) Gone() { s.loop.inbox.postLater(event{kind: evGone, conn: s.conn()}) }

// ciphertext handles what was read from a connection with TLS. It returns whether and why the peer
// must wait.
func (c *Conn) ciphertext(b []byte) putOff {
	step, said := c.secure.Received(b)
	switch step {
	case tlsconn.StepDecrypt:
		c.decrypt(b)
		return c.tooFast()
	case tlsconn.StepPlain:
		c.answerPlain(said)
		return c.tooFast()
	case tlsconn.StepTooMuch:
		c.cut()
		return offPace
	case tlsconn.StepBusy:
		return offPace // the worker must read first
	}
	return offNot
}

// answerPlain tells a client that speaks plain HTTP, in plain text, that TLS is spoken here.
func (c *Conn) answerPlain(b []byte) {
	const status = http.StatusBadRequest
	v := upgrade.Verdict{Status: status, Body: "this port speaks TLS: connect with wss:// instead of ws://"}
	c.secure = nil
	c.signs.setDeaf()
	c.loop.post(event{kind: evUpgrade, conn: c, data: upgrade.Refuse(v, b), code: status, arg: false})
}

// decrypt passes on what is complete in the ciphertext b, and in what crypto/tls has kept of
// earlier pieces. It runs on the goroutine that reads.
func (c *Conn) decrypt(b []byte) {
	t := c.secure
	p := t.Lend(b)
	c.earn()
	paid, unhandled, held := c.paid, c.unhandled, c.held()
	for !c.signs.deaf() {
		n, err := t.Read(p[:])
		if n > 0 {
			c.received(p[:n])
		}
		if err == tlsconn.ErrMore {
			break
		}
		// After its close frame a client may send close_notify too, and still waits for ours.
		if err != nil && !(err == io.EOF && c.signs.deaf()) {
			c.cut()
		}
	}
	t.Release(p)
	c.payRecords(t.Small(), c.paid-paid+uint32(c.unhandled-unhandled))
	t.Trim(c.signs.deaf()) // a deaf connection decrypts nothing more
	c.accountFor(held)
	if t.Waiting() { // something that crypto/tls wrote, such as the answer to a key update
		c.loop.post(event{kind: evCipher, conn: c})
	}
}

// cut ends a connection from a goroutine that is not the loop's. The poller then sees the end of
// the input.
func (c *Conn) cut() {
	c.signs.setDeaf()
	c.sock.ShutDown()
	c.sock.Resume()
}

// sendRest is the first step of a flush: it sends what was encrypted earlier. It returns false if
// nothing may be sent after it yet.
func (s *sender) sendRest(c *Conn) bool {
	l := s.loop
	had, left, err := c.secure.SendRest()
	if had {
		l.stats.Sends++
	}
	switch {
	case err != nil:
		l.life.hangUp(c)
		return false
	case left:
		s.block(c)
		return false
	case c.state == stClosing && c.out == nil:
		l.life.endWrite(c)
	}
	return true
}

// encrypt sends what was gathered, one record at a time, until the kernel takes no more. n is how
// many bytes were encrypted. The rest of their ciphertext waits in c.secure.
func (s *sender) encrypt(c *Conn) (n int, err error) {
	t := c.secure
	if s.plain == nil {
		s.plain = make([]byte, 0, tlsconn.MaxRecord)
	}
	at := plainCursor{iov: s.iov[:s.n]}
	if c.out != nil {
		at.edge = len(c.out.rest)
	}
	if c.stream != streamNot {
		at.edge = math.MaxInt // events may be cut anywhere
	}
	for n < s.total && !t.Waiting() {
		s.plain = at.next(s.plain[:0])
		if err := t.Write(s.plain); err != nil {
			return n, err
		}
		s.loop.stats.Sends++
		n += len(s.plain)
	}
	return n, nil
}

// goodbye sends close_notify, once. It returns false if ciphertext waits. The flush that sends the
// last of it calls goodbye again.
func (s *sender) goodbye(c *Conn) bool {
	if c.secure.Goodbye() {
		s.block(c)
		return false
	}
	return true
}

// plainCursor cuts gathered bytes into records that end with a frame. If the kernel takes no more,
// only ciphertext is then kept, except for a frame that is longer than a record.
type plainCursor struct {
	iov  []unix.Iovec
	used int // bytes of iov[0]
	edge int // bytes up to the next frame's beginning
}

// next appends the bytes of the next record to p, which is empty.
func (a *plainCursor) next(p []byte) []byte {
	from := *a
	a.take(&p, tlsconn.MaxRecord)
	end, edge := lastFrame(p, a.edge)
	if end == 0 || end == len(p) {
		a.edge = edge - len(p)
		return p
	}
	*a = from
	p = p[:0]
	a.take(&p, end)
	a.edge = 0
	return p
}

// take moves up to n bytes to p.
func (a *plainCursor) take(p *[]byte, n int) {
	for n > 0 && len(a.iov) > 0 {
		b := unsafe.Slice(a.iov[0].Base, a.iov[0].Len)[a.used:]
		k := min(n, len(b))
		*p = append(*p, b[:k]...)
		n -= k
		if a.used += k; k == len(b) {
			a.iov, a.used = a.iov[1:], 0
		}
	}
}

// lastFrame returns where the last whole frame in p ends (0: there is none) and where the next one
// begins, at or after the end of p. The first frame begins at edge.
func lastFrame(p []byte, edge int) (end, next int) {
	for next = edge; next <= len(p); {
		end = next
		n, ok := wholeLen(p[next:])
		if !ok {
			return end, next
		}
		next += n
	}
	return end, next
}

// wholeLen is wire.FrameLen. ok is false if p lacks some of the header.
func wholeLen(p []byte) (n int, ok bool) {
	if len(p) < 2 || p[1] == 126 && len(p) < 4 || p[1] == 127 && len(p) < 10 {
		return 0, false
	}
	return wire.FrameLen(p), true
}
