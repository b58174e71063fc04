package loop

import (
	"bytes"
	"crypto/tls"
	"io"
	"reflect"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"tapecast/rooms/wire"
)

const (
	// maxRecord is the most plaintext of one record (RFC 8446, 5.1), and so
	// what is encrypted at a time.
	maxRecord = 16 << 10
	// maxRest bounds the ciphertext that waits: the rest of a record, and what a
	// client can make crypto/tls write meanwhile (answers to its key updates).
	maxRest = 32 << 10
)

// secure is the TLS of one connection; a plain one has none. crypto/tls takes
// it for the net.Conn below (tls_wire.go), but there is no goroutine: the poller
// lends it ciphertext and gets plaintext for the reader, and the loop has it
// encrypt a record at a time. Only the handshake, which crypto/tls cannot leave
// half done, runs on a worker (tls_handshake.go); until that is over, it and
// not the poller is the one that reads.
//
// Where a kernel encrypted by itself, a connection would lose its secure when
// the handshake is over, and Conn.read and Conn.write would be all it needs.
type secure struct {
	conn    *Conn
	tls     *tls.Conn
	in      []byte  // ciphertext lent by whoever reads; nil between two reads
	records records // whoever reads counts them

	mu    sync.Mutex
	rest  []byte    // ciphertext that the kernel has not taken: nothing goes before it
	hello *greeting // nil once the handshake is over
}

// plains are for plaintext on its way from crypto/tls to the reader.
var plains = sync.Pool{New: func() any { return new([maxRecord]byte) }}

// decrypt gives the connection what is whole in the ciphertext b, and in what
// crypto/tls has kept of earlier pieces. It runs on the goroutine that reads.
func (t *secure) decrypt(c *Conn, b []byte) {
	p := plains.Get().(*[maxRecord]byte)
	t.in = b
	c.earn()
	paid, unhandled, held := c.paid, c.unhandled, c.held()
	for !c.signs.deaf() {
		n, err := t.tls.Read(p[:])
		if n > 0 {
			c.received(p[:n])
		}
		if err == errMore {
			break
		}
		// A client that has sent its close frame may say close_notify too, and
		// still waits for ours.
		if err != nil && !(err == io.EOF && c.signs.deaf()) {
			c.cut()
		}
	}
	t.in = nil
	plains.Put(p)
	c.payRecords(c.paid - paid + uint32(c.unhandled-unhandled))
	t.trim(c.signs.deaf()) // then nothing more is decrypted
	c.accountFor(held)
	if t.waiting() { // what crypto/tls wrote, such as the answer to a key update
		c.loop.post(event{kind: evCipher, conn: c})
	}
}

// cut ends a connection from a goroutine that is not the loop's; the poller then
// sees the end of the input.
func (c *Conn) cut() {
	c.signs.setDeaf()
	c.sock.ShutDown()
	c.sock.Resume()
}

// The buffers through which crypto/tls reads records and handshake messages: it
// would keep them, up to 33 KB, for as long as the connection lives. 0: this
// version of Go has no such field, and they stay.
var tlsBuffers = [...]uintptr{bufferIn("rawInput"), bufferIn("hand")}

func bufferIn(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return 0
	}
	return f.Offset
}

// buffers calls f for each of them. Only the goroutine that reads uses them.
func (t *secure) buffers(f func(b *bytes.Buffer)) {
	if t.tls == nil {
		return
	}
	for _, at := range tlsBuffers {
		if at != 0 {
			f((*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t.tls), at)))
		}
	}
}

// trim lets go of the buffers that are empty, or of all.
func (t *secure) trim(all bool) {
	t.buffers(func(b *bytes.Buffer) {
		if all || b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	})
}

// held is the memory of a record or a handshake message that has not all come: a header of
// five bytes makes crypto/tls take as much as it announces.
func (t *secure) held() (n int) {
	t.buffers(func(b *bytes.Buffer) { n += b.Cap() })
	return n
}

// waiting says whether there is ciphertext that the kernel has not taken.
func (t *secure) waiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rest) > 0
}

// sendRest is the first step of a flush: what was encrypted earlier goes first.
// false: nothing may be sent behind it yet.
func (l *Loop) sendRest(c *Conn) bool {
	t := c.secure
	t.mu.Lock()
	had := len(t.rest) > 0
	err := t.push()
	left := len(t.rest) > 0
	t.mu.Unlock()
	if had {
		l.stats.Sends++
	}
	switch {
	case err != nil:
		l.hangUp(c)
		return false
	case left:
		l.block(c)
		return false
	case c.state == stClosing && c.out == nil:
		l.endWrite(c)
	}
	return true
}

// encrypt sends what was gathered, a record at a time, until the kernel takes no
// more. n bytes of it were encrypted, and are out of our hands: whatever is
// left of their ciphertext is secure.rest.
func (l *Loop) encrypt(c *Conn) (n int, err error) {
	s, t := &l.send, c.secure
	if s.plain == nil {
		s.plain = make([]byte, 0, maxRecord)
	}
	at := plainCursor{iov: s.iov[:s.n]}
	if c.out != nil {
		at.edge = len(c.out.rest)
	}
	for n < s.total && !t.waiting() {
		s.plain = at.next(s.plain[:0])
		if _, err := t.tls.Write(s.plain); err != nil {
			return n, err
		}
		l.stats.Sends++
		n += len(s.plain)
	}
	return n, nil
}

// goodbye sends close_notify, once; false: ciphertext waits, and the flush that
// sends the last of it comes here again.
func (l *Loop) goodbye(c *Conn) bool {
	// It fails where the socket is broken: then there is nobody to tell.
	_ = c.secure.tls.CloseWrite()
	if c.secure.waiting() {
		l.block(c)
		return false
	}
	return true
}

// plainCursor cuts gathered bytes into records that end with a frame. Where the
// kernel takes no more, what is kept is then ciphertext alone, except of a frame
// that is longer than a record.
type plainCursor struct {
	iov  []unix.Iovec
	used int // bytes of iov[0]
	edge int // bytes up to the next frame's beginning
}

// next appends the bytes of the next record to p, which is empty.
func (a *plainCursor) next(p []byte) []byte {
	from := *a
	a.take(&p, maxRecord)
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

// lastFrame finds where the last whole frame in p ends (0: none does) and where
// the next one begins, at or behind p's end. The first begins at edge.
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

// wholeLen is frameLen where p holds the whole header.
func wholeLen(p []byte) (n int, ok bool) {
	if len(p) < 2 || p[1] == 126 && len(p) < 4 || p[1] == 127 && len(p) < 10 {
		return 0, false
	}
	return wire.FrameLen(p), true
}
