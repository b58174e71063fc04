package tlsconn

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

const (
	// MaxRecord is the most plaintext in one record (RFC 8446, 5.1), and so what is encrypted at a
	// time.
	MaxRecord = 16 << 10
	// maxRest bounds the ciphertext that waits: the rest of a record, and what a
	// client can make crypto/tls write meanwhile (answers to its key updates).
	maxRest = 32 << 10
)

// Owner is the connection that a Conn encrypts for.
type Owner interface {
	// Send passes ciphertext to the kernel, and returns how much of it was taken. Taking nothing is
	// not an error.
	Send(b []byte) (int, error)
	// Network returns the network that the client's address is counted as.
	Network() netip.Addr

	// The worker of the connection's handshake calls the following methods.

	// Decrypt handles ciphertext that came right after the handshake, as if the poller had read it.
	// After a handshake that failed it is called too, once.
	Decrypt(b []byte)
	// Failed ends the connection whose handshake failed.
	Failed(err error)
	// Evict ends the connection for another one: too many handshakes wait for clients.
	Evict()
	// Gone is called when the worker is done with a connection whose descriptor is closed.
	Gone()
}

// Conn is the TLS of one connection; a plain connection has none. crypto/tls uses it as the
// net.Conn of netconn.go. Only the handshake runs on a goroutine (handshake.go).
//
// If a kernel encrypted by itself, a connection could drop its Conn after the handshake.
type Conn struct {
	owner   Owner
	tls     *tls.Conn
	in      []byte  // ciphertext that was lent; nil between two reads
	records records // the goroutine that reads counts them

	mu    sync.Mutex
	rest  []byte     // ciphertext that the kernel has not taken: nothing goes before it
	hello *handshake // nil once the handshake is over
}

// New returns the TLS of a connection that was just accepted.
func New(owner Owner, workers *Handshakes) *Conn {
	t := &Conn{owner: owner, hello: &handshake{workers: workers}}
	t.hello.cond.L = &t.mu
	return t
}

// Certificate returns the certificate that the client has proved to have, once the handshake is over, and
// until when it is good. Nil: it was not asked for one, or has none. The goroutine that reads calls it.
func (t *Conn) Certificate() (leaf *x509.Certificate, until time.Time) {
	if t.tls == nil {
		return nil, until
	}
	s := t.tls.ConnectionState()
	if !s.HandshakeComplete || len(s.VerifiedChains) == 0 {
		return nil, until
	}
	return s.PeerCertificates[0], endOf(s.VerifiedChains)
}

// endOf returns when the last of the chains has one that has expired. A certificate is good as long as any
// chain leads from it to one that is trusted.
func endOf(chains [][]*x509.Certificate) (until time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain[1:] {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(until) {
			until = first
		}
	}
	return until
}

// plains holds buffers for plaintext on its way from crypto/tls to the owner.
var plains = sync.Pool{New: func() any { return new([MaxRecord]byte) }}

// Lend lends ciphertext, which must not be nil, for the following calls of Read. It returns a
// buffer for them.
func (t *Conn) Lend(b []byte) *[MaxRecord]byte {
	t.in = b
	return plains.Get().(*[MaxRecord]byte)
}

// Read decrypts what is complete in the ciphertext that was lent, and in what crypto/tls has kept
// of earlier pieces. ErrMore means that nothing more is complete.
func (t *Conn) Read(p []byte) (int, error) { return t.tls.Read(p) }

// Release ends what Lend began.
func (t *Conn) Release(p *[MaxRecord]byte) {
	t.in = nil
	plains.Put(p)
}

// Small returns how many small records have come since its last call: see smallRecord.
func (t *Conn) Small() uint32 {
	n := t.records.small
	t.records.small = 0
	return n
}

// Write encrypts p, of MaxRecord bytes at most, and sends it. What the kernel does not take waits.
func (t *Conn) Write(p []byte) error {
	_, err := t.tls.Write(p)
	return err
}

// SendRest sends what waits. had reports whether something did. left reports whether something
// still does: then nothing may be sent after it yet.
func (t *Conn) SendRest() (had, left bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	had = len(t.rest) > 0
	err = t.push()
	return had, len(t.rest) > 0, err
}

// Goodbye sends close_notify, once. left reports whether some of it waits.
func (t *Conn) Goodbye() (left bool) {
	// It fails if the socket is broken. Then there is nobody to tell.
	_ = t.tls.CloseWrite()
	return t.Waiting()
}

// Waiting reports whether there is ciphertext that the kernel has not taken.
func (t *Conn) Waiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rest) > 0
}

// The buffers through which crypto/tls reads records and handshake messages. It would keep them, up
// to 33 KB, for the life of the connection. 0: this version of Go has no such field, and they stay.
var tlsBuffers = [...]uintptr{bufferIn("rawInput"), bufferIn("hand")}

func bufferIn(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return 0
	}
	return f.Offset
}

// buffers calls f for each of them. Only the goroutine that reads uses them.
func (t *Conn) buffers(f func(b *bytes.Buffer)) {
	if t.tls == nil {
		return
	}
	for _, at := range tlsBuffers {
		if at != 0 {
			f((*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t.tls), at)))
		}
	}
}

// Trim frees the buffers that are empty, or all of them.
func (t *Conn) Trim(all bool) {
	t.buffers(func(b *bytes.Buffer) {
		if all || b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	})
}

// Held returns the memory of an incomplete record or handshake message. A header of five bytes
// makes crypto/tls allocate as much as it announces.
func (t *Conn) Held() (n int) {
	t.buffers(func(b *bytes.Buffer) { n += b.Cap() })
	return n
}
