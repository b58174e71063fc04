package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// natsSink publishes to NATS over TCP. One goroutine uses it. Answers come on another.
type natsSink struct {
	conn  net.Conn
	out   []byte
	sent  int64
	wrote sync.Mutex // a PONG must not come between the parts of a message
	pongs chan struct{}
	ended chan error // why the connection ended
}

// NewNATS returns a sink that is connected to a NATS server, nats://HOST:PORT.
func NewNATS(ctx context.Context, to string) (Sink, error) {
	u, err := url.Parse(to)
	if err != nil || u.Port() == "" {
		return nil, job.Inputf("--publish %q is not nats://HOST:PORT", to)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, job.Inputf("cannot connect to --publish %s: %s", to, job.RootOf(err))
	}
	s := &natsSink{conn: conn, pongs: make(chan struct{}, 1), ended: make(chan error, 1)}
	connect := `CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1"`
	if name := u.User.Username(); name != "" {
		pass, both := u.User.Password()
		if both {
			connect += `,"user":` + proto.JSON(name) + `,"pass":` + proto.JSON(pass)
		} else {
			connect += `,"auth_token":` + proto.JSON(name)
		}
	}
	go s.listen()
	if err = s.write([]byte(connect + "}\r\nPING\r\n")); err == nil {
		err = s.pong(ctx)
	}
	if err != nil {
		_ = conn.Close() // nothing was published
		return nil, job.Inputf("%v", err)
	}
	return s, nil
}

// listen answers pings, and ends with the connection.
func (s *natsSink) listen() {
	in := bufio.NewReaderSize(s.conn, proto.MaxNATSLine)
	for {
		line, err := in.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case err != nil:
		case line == "PING":
			err = s.write([]byte("PONG\r\n"))
		case line == "PONG":
			s.pongs <- struct{}{}
		case strings.HasPrefix(line, "-ERR"):
			err = errors.New(line)
		}
		if err != nil {
			s.ended <- fmt.Errorf("the NATS server ended the publishing: %w", err)
			return
		}
	}
}

func (s *natsSink) write(b []byte) error {
	s.wrote.Lock()
	defer s.wrote.Unlock()
	_, err := s.conn.Write(b)
	return err
}

// pong waits for the answer to a PING. The server took everything before it.
func (s *natsSink) pong(ctx context.Context) error {
	select {
	case <-s.pongs:
		return nil
	case err := <-s.ended:
		return err
	case <-ctx.Done():
		return errors.New("the NATS server did not answer in time")
	}
}

func (s *natsSink) Put(room string, _, value []byte) error {
	s.out = append(s.out, "PUB "+room+" "+strconv.Itoa(len(value))+"\r\n"...)
	s.out = append(append(s.out, value...), "\r\n"...)
	s.sent++
	return nil
}

func (s *natsSink) Flush() (time.Duration, error) {
	if len(s.out) == 0 {
		return 0, nil
	}
	began := time.Now()
	err := s.write(s.out)
	s.out = s.out[:0]
	if err != nil {
		select {
		case why := <-s.ended:
			err = why
		case <-time.After(time.Second):
		}
		return time.Since(began), fmt.Errorf("cannot publish: %w", err)
	}
	return time.Since(began), nil
}

func (s *natsSink) Close(ctx context.Context) (int64, error) {
	defer func() { _ = s.conn.Close() }() // either all was answered, or no answer will come
	if _, err := s.Flush(); err != nil {
		return 0, err
	}
	if err := s.write([]byte("PING\r\n")); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("cannot end the publishing: %w", err)
	}
	if err := s.pong(ctx); err != nil {
		return 0, err
	}
	return s.sent, nil
}
