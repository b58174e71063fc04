package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
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

// Job says where clients connect that have a goroutine each.
type Job struct {
	job.Endpoint
	Unknown bool `json:"unknown,omitempty"` // any certificate will do: a sink's
}

// Dialer is a Job that is ready to dial. Any goroutine may use it.
type Dialer struct {
	Job
	Config *tls.Config // nil: no TLS
	path   string      // with manual subscription: the gateway joins nothing by itself
}

// New returns a Dialer. It reads the certificates that the job names.
func New(j Job) (*Dialer, error) {
	and := map[bool]string{false: "?", true: "&"}[strings.Contains(j.Path, "?")]
	p := &Dialer{Job: j, path: j.Path + and + "join=manual"}
	cfg, err := j.TLSConfig()
	if err != nil {
		return nil, err
	}
	if p.Config = cfg; cfg != nil {
		cfg.InsecureSkipVerify = j.Unknown
	}
	return p, nil
}

// OpenPatience is the longest time for a connect, and for the answer to a handshake.
const OpenPatience = 10 * time.Second

// Connect makes a WebSocket connection for client n. It ends with ctx.
func (p *Dialer) Connect(ctx context.Context, n int, token string) (*Conn, error) {
	raw, err := p.Dial(ctx, n, 0)
	if err != nil {
		return nil, err
	}
	c, err := p.Open(ctx, raw, token)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = raw.Close() })
	}
	return c, err
}

// Dial makes a TCP connection for client n, with a receive buffer of so many bytes (0: the
// kernel's choice).
func (p *Dialer) Dial(ctx context.Context, n, rcvBuf int) (net.Conn, error) {
	d := net.Dialer{Timeout: OpenPatience}
	if len(p.Sources) > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.Sources[n%len(p.Sources)])}
	}
	if rcvBuf > 0 { // before the connect, or the window has its usual width
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
	head []byte // the start of the last frame's payload
	Read int64  // bytes of frames
}

// HeadSize is how much of a frame's payload is kept. It holds a whole notice, and the
// start of messages that are only counted.
const HeadSize = 16 << 10

// Open upgrades a connection, with TLS if the job says so. It owns raw, and closes it on failure.
func (p *Dialer) Open(ctx context.Context, raw net.Conn, token string) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends a read or write that waits on it
	defer stop()
	c := &Conn{Conn: raw}
	fail := func(err error) (*Conn, error) {
		_ = raw.Close() // the caller gets the error that ended it
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(OpenPatience)) // fails only on a closed connection
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

// Send writes one frame.
func (c *Conn) Send(op byte, p []byte) error {
	_, err := c.Write(proto.AppendFrame(nil, op, p))
	return err
}

// Ask sends a request for rooms, and returns its answer. A refused token is an answer too,
// although it has no id.
func (c *Conn) Ask(id int, format string, rooms ...string) (m proto.Message, err error) {
	if err := c.Send(proto.OpText, fmt.Appendf(nil, format, proto.List(rooms), id)); err != nil {
		return m, job.Inputf("cannot ask: %s", job.RootOf(err))
	}
	for {
		op, p, err := c.Next()
		if err != nil || op == proto.OpClose {
			return m, job.Inputf("cannot join %q: %s", strings.Join(rooms, ", "), EndOf(op, p, err))
		}
		m = proto.Message{}
		if op != proto.OpText || json.Unmarshal(p, &m) != nil {
			continue
		}
		if m.Method == "auth_required" {
			return m, job.Inputf("%s", proto.WantsToken)
		}
		if string(m.ID) == fmt.Sprint(id) || m.Error != nil && m.Error.Code == proto.AuthFailed {
			return m, nil
		}
	}
}

// Leave sends a close frame. Without it the connection still ends.
func (c *Conn) Leave() { _ = c.Send(proto.OpClose, proto.Normal) }

// Next reads one frame, and returns the start of the payload. The next call overwrites that.
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

// header reads a frame's header. If two bytes are not the whole header, then more bytes of
// the frame must come than the longest header has.
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

// How a connection ended if neither side closed it in order.
const (
	NoAnswer   = "no answer in time"
	ClosedHere = "closed here"
)

// EndOf returns how a connection ended: the close frame's code and reason, or the read's error.
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
