package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// centrifugoSink publishes with Centrifugo's HTTP API. Messages that are due together go
// in one batch. One goroutine uses it.
// https://centrifugal.dev/docs/server/server_api
type centrifugoSink struct {
	url, key string
	client   *http.Client
	commands []string
	taken    int64
}

// NewCentrifugo returns a sink. It posts an empty batch first, to see that the API answers.
func NewCentrifugo(ctx context.Context, api, key string) (Sink, error) {
	u, err := url.Parse(api)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, job.Inputf("--publish %q is neither nats://HOST:PORT nor http://HOST:PORT/api", api)
	}
	s := &centrifugoSink{url: strings.TrimSuffix(api, "/") + "/batch", key: key,
		client: &http.Client{Timeout: closeTimeout}}
	if err := s.post(ctx); err != nil {
		return nil, job.Inputf("cannot use --publish %s: %v", api, err)
	}
	return s, nil
}

func (s *centrifugoSink) Put(room string, _, value []byte) error {
	s.commands = append(s.commands, fmt.Sprintf(`{"publish":{"channel":%s,"data":%s}}`, proto.JSON(room), value))
	return nil
}

func (s *centrifugoSink) Flush() (time.Duration, error) {
	if len(s.commands) == 0 {
		return 0, nil
	}
	began := time.Now()
	if err := s.post(context.Background()); err != nil {
		return time.Since(began), fmt.Errorf("cannot publish: %w", err)
	}
	s.taken += int64(len(s.commands))
	s.commands = s.commands[:0]
	return time.Since(began), nil
}

// post sends the commands in order, and reads one answer for each.
func (s *centrifugoSink) post(ctx context.Context) error {
	body := `{"commands":[` + strings.Join(s.commands, ",") + `]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("X-API-Key", s.key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s", job.RootOf(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s: %.100s", resp.Status, strings.TrimSpace(string(b)))
	}
	type fault struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	var a struct {
		Replies []struct {
			Error *fault `json:"error"`
		} `json:"replies"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("the answer is not JSON: %.100s", b)
	}
	for _, r := range a.Replies {
		if r.Error != nil {
			return fmt.Errorf("it answered: %s (%d)", r.Error.Message, r.Error.Code)
		}
	}
	if len(a.Replies) != len(s.commands) {
		return fmt.Errorf("it answered %d of %d commands", len(a.Replies), len(s.commands))
	}
	return nil
}

func (s *centrifugoSink) Close(context.Context) (int64, error) {
	_, err := s.Flush()
	s.client.CloseIdleConnections()
	return s.taken, err
}

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
