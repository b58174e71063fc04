package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// Job says where clients connect that have a goroutine each: hostile ones and
// newcomers. The crowd of ordinary ones is a loop's (loop.go).
type Job struct {
	Addr    string `json:"addr"` // IP and port
	Host    string `json:"host"` // for the Host header
	Path    string `json:"path"` // with the query
	TLS     bool   `json:"tls"`
	CA      string `json:"ca,omitempty"`      // file of certificates to trust; "": the system's
	Unknown bool   `json:"unknown,omitempty"` // whatever certificate there is will do: a sink's
}

// Dialer is a Job, ready. Any goroutine may use it.
type Dialer struct {
	Job
	Config *tls.Config // nil: plain
	path   string      // manual: nothing is joined that nobody asks for
}

// New returns a Dialer. It reads the certificates that the job names.
func New(j Job) (*Dialer, error) {
	and := map[bool]string{false: "?", true: "&"}[strings.Contains(j.Path, "?")]
	p := &Dialer{Job: j, path: j.Path + and + "join=manual"}
	cfg, err := (&job.Job{TLS: j.TLS, Host: j.Host, CA: j.CA}).TLSConfig()
	if err != nil {
		return nil, err
	}
	if p.Config = cfg; cfg != nil {
		cfg.InsecureSkipVerify = j.Unknown
	}
	return p, nil
}

// OpenPatience is how long a connection may take to stand, and a handshake to be answered.
const OpenPatience = 10 * time.Second

// Dial makes a TCP connection from an address of this machine ("": any), with a
// receive buffer of so many bytes (0: the kernel's choice).
func (p *Dialer) Dial(ctx context.Context, source string, rcvBuf int) (net.Conn, error) {
	d := net.Dialer{Timeout: OpenPatience}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	if rcvBuf > 0 { // before the connection is made, or the window is as wide as ever
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var err error
			cerr := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, rcvBuf)
			})
			return errors.Join(cerr, err)
		}
	}
	return d.DialContext(ctx, "tcp", p.Addr)
}

// Conn is a WebSocket connection. One goroutine reads, one writes.
type Conn struct {
	net.Conn
	In   *bufio.Reader
	head []byte // of the frame that was read last
	Read int64  // bytes of frames
}

// HeadSize is how much of a frame's payload is kept: all of a notice, and the
// beginning of what only counts.
const HeadSize = 16 << 10

// Open upgrades a connection that stands, over TLS where that is spoken. It owns
// raw: a connection that could not be upgraded is closed.
func (p *Dialer) Open(ctx context.Context, raw net.Conn, token string) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends what waits on it
	defer stop()
	c := &Conn{Conn: raw}
	fail := func(err error) (*Conn, error) {
		_ = raw.Close() // what ended it is told
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(OpenPatience)) // fails on a closed one only
	if p.Config != nil {
		secure := tls.Client(raw, p.Config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return fail(fmt.Errorf("TLS: %w", err))
		}
		c.Conn = secure
	}
	key := proto.UpgradeKey(uint64(time.Now().UnixNano()))
	if _, err := c.Write(proto.AppendUpgrade(nil, p.Host, p.path, "tapecast.v1", token, key, false)); err != nil {
		return fail(err)
	}
	c.In = bufio.NewReaderSize(c.Conn, 64<<10)
	resp, err := http.ReadResponse(c.In, nil)
	switch {
	case err != nil:
		return fail(err)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return fail(fmt.Errorf("handshake refused: %s", resp.Status))
	}
	_ = raw.SetDeadline(time.Time{})
	return c, nil
}

// Next reads one frame. Of its payload it returns the beginning, which the next
// call overwrites.
func (c *Conn) Next() (op byte, head []byte, err error) {
	h, err := c.header()
	if err != nil {
		return 0, nil, err
	}
	if c.head == nil {
		c.head = make([]byte, HeadSize)
	}
	head = c.head[:min(h.Length, HeadSize)]
	if _, err := io.ReadFull(c.In, head); err != nil {
		return 0, nil, err
	}
	if _, err := c.In.Discard(h.Length - len(head)); err != nil {
		return 0, nil, err
	}
	c.Read += int64(h.Size + h.Length)
	return h.Op, head, nil
}

// header reads a frame's header. Where two bytes are not all of it, more of the
// frame than the longest header is yet to come.
func (c *Conn) header() (h proto.Header, err error) {
	for _, n := range [...]int{2, 14} {
		b, err := c.In.Peek(n)
		if err != nil {
			return h, err
		}
		if h, err = proto.ParseHeader(b); err != nil {
			return h, err
		}
		if h.Size > 0 {
			break
		}
	}
	_, err = c.In.Discard(h.Size)
	return h, err
}

// How a connection ended that neither side has ended in order.
const (
	NoAnswer   = "no answer in time"
	ClosedHere = "closed here"
)

// EndOf says in words how a connection ended: the close frame's code and reason, or
// what reading gave.
func EndOf(op byte, p []byte, err error) string {
	switch {
	case err == nil && op == proto.OpClose && len(p) >= 2:
		return strings.TrimSpace(fmt.Sprintf("%d %s", int(p[0])<<8|int(p[1]), p[2:]))
	case err == nil:
		return "1005"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "ended without a close frame"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return NoAnswer
	case errors.Is(err, net.ErrClosed):
		return ClosedHere
	}
	return job.RootOf(err)
}
