package publish

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"

	"tapecast/bench/job"
)

// natsSink publishes to NATS over TCP. One goroutine uses it. The library writes on another.
type natsSink struct {
	conn *nats.Conn
	sent int64
}

// natsDialer dials within a context, and keeps the error, in whose place the library has its own.
type natsDialer struct {
	ctx context.Context
	err error
}

func (d *natsDialer) Dial(network, addr string) (conn net.Conn, err error) {
	conn, d.err = new(net.Dialer).DialContext(d.ctx, network, addr)
	return conn, d.err
}

// NewNATS returns a sink that is connected to a NATS server, nats://HOST:PORT.
func NewNATS(ctx context.Context, to string) (Sink, error) {
	u, err := url.Parse(to)
	if err != nil || u.Port() == "" {
		return nil, job.Inputf("--publish %q is not nats://HOST:PORT", to)
	}
	d := &natsDialer{ctx: ctx}
	conn, err := nats.Connect(to, nats.NoReconnect(), nats.SetCustomDialer(d),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // LastError has it too
	switch {
	case d.err != nil:
		return nil, job.Inputf("cannot connect to --publish %s: %s", to, job.RootOf(d.err))
	case err != nil:
		return nil, job.Inputf("cannot connect to --publish %s: %v", to, err)
	}
	return &natsSink{conn: conn}, nil
}

func (s *natsSink) Put(room string, _, value []byte) error {
	s.sent++
	return s.ended(s.conn.Publish(room, value))
}

// Flush only looks for errors: the library sends what was put at once.
func (s *natsSink) Flush() (time.Duration, error) { return 0, s.ended(nil) }

// ended returns why the server ended the publishing, or else err.
func (s *natsSink) ended(err error) error {
	if why := s.conn.LastError(); why != nil {
		err = why
	}
	if err != nil {
		return fmt.Errorf("the NATS server ended the publishing: %w", err)
	}
	return nil
}

func (s *natsSink) Close(ctx context.Context) (int64, error) {
	defer s.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return s.sent, s.ended(s.conn.FlushWithContext(ctx)) // the server has taken everything before its answer
}
