package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

const (
	maxFrame     = 64 << 20               // bytes of a frame: Kafka's values may be large
	goodbye      = time.Second            // that the gateway has to answer a close
	hurry        = 100 * time.Millisecond // that it has if the context of Connect is done
	maxWait      = 24 * time.Hour
	requestsSent = queued + 64 // calls, and the client's own requests
)

// frame is what the gateway sends.
type frame struct {
	Room    *string
	Type    string
	Key     *string
	Pos     string
	Prev    string
	TS      int64
	Data    json.RawMessage
	JSONRPC string
	ID      requestID
	Method  string
	Params  json.RawMessage
	Result  json.RawMessage
	Error   *Error
}

// requestID is the number of a request of ours; 0: it is none.
type requestID struct{ n uint64 }

// UnmarshalJSON takes any id.
func (id *requestID) UnmarshalJSON(b []byte) error {
	id.n, _ = strconv.ParseUint(string(b), 10, 64) // another one is none of ours
	return nil
}

func decode(kind websocket.MessageType, b []byte) (*frame, error) {
	if kind != websocket.MessageText {
		return nil, errors.New("it is binary")
	}
	m := new(frame)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	if m.Room != nil && m.Data == nil {
		m.Data = json.RawMessage("null")
	}
	return m, nil
}

// connect opens the connection of one turn and reads it. It runs on a goroutine of its own, and ends
// soon after ctx is done.
func (t *Tape) connect(ctx context.Context, turn int) {
	ended, ok := t.getToken(ctx, turn)
	defer ended()
	if !ok {
		return
	}
	mine := func(f func()) {
		t.post(ctx, func() {
			if turn == t.link.turn {
				f()
			}
		})
	}
	opening := *t.options.client
	below := &below{next: opening.Transport}
	opening.Transport = below
	conn, answer, err := websocket.Dial(ctx, t.options.url, &websocket.DialOptions{
		HTTPClient: &opening, Subprotocols: []string{"tapecast.v1"},
	})
	if err != nil {
		after := retryAfter(answer)
		mine(func() {
			t.link.after = after
			t.lost(1006, err.Error())
		})
		return
	}
	conn.SetReadLimit(maxFrame)
	out := make(chan []byte, requestsSent)
	t.others.Go(func() { write(ctx, conn, out) })
	t.others.Go(func() { t.end(ctx, conn, below) })
	mine(func() { t.link.out = out })
	var odd error // of the last frame
	for {
		kind, b, err := conn.Read(context.Background()) // ends with the connection
		if err != nil {
			code, reason := closeOf(err)
			mine(func() { t.lost(code, reason) })
			return
		}
		// The package takes a frame for whole that was cut off with its connection. So what cannot be read is
		// told when something comes after it.
		if odd != nil {
			told := odd
			mine(func() { t.hear(nil, told) })
		}
		var m *frame
		if m, odd = decode(kind, b); odd == nil {
			mine(func() { t.hear(m, nil) })
		}
	}
}

// getToken asks the application for a token, if it gives any. ok reports whether the connection is opened.
func (t *Tape) getToken(ctx context.Context, turn int) (ended func(), ok bool) {
	token, err := "", error(nil)
	if t.options.token != nil {
		token, err = t.options.token(ctx)
	}
	if ended, ok = func() {}, err == nil && ctx.Err() == nil; ok {
		ended = t.options.dials()
	}
	t.post(t.ctx, func() {
		t.running--
		if turn != t.link.turn {
			return
		}
		if t.link.token = token; err != nil {
			t.lost(1006, "no token: "+err.Error())
		}
	})
	return ended, ok
}

// write sends requests. If the gateway reads none, the silence ends the connection.
func write(ctx context.Context, conn *websocket.Conn, out <-chan []byte) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-out:
			if conn.Write(context.Background(), websocket.MessageText, b) != nil {
				return // the reader tells
			}
		}
	}
}

// end closes the connection once ctx is done. The gateway may not answer, for which Close would wait 5 s, and
// CloseNow waits for Close. So what is below the connection is closed.
func (t *Tape) end(ctx context.Context, conn *websocket.Conn, below *below) {
	<-ctx.Done()
	late := time.AfterFunc(t.options.goodbye, func() { _ = below.body.Close() })
	defer late.Stop()
	stop := context.AfterFunc(t.given, func() { late.Reset(hurry) })
	defer stop()
	_ = conn.Close(websocket.StatusNormalClosure, "") // it may be closed already
}

// below opens a connection, and keeps what carries it: the library shows nobody.
type below struct {
	next http.RoundTripper // nil: the default
	body io.Closer
}

// RoundTrip implements http.RoundTripper.
func (b *below) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err == nil {
		b.body = answer.Body
	}
	return answer, err
}

// closeOf returns the close code that ended the connection, 1006 if there was none.
func closeOf(err error) (code int, reason string) {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return int(e.Code), e.Reason
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return int(websocket.StatusMessageTooBig), err.Error()
	}
	return 1006, err.Error()
}

// retryAfter returns what a refusal says of when to come again.
func retryAfter(r *http.Response) time.Duration {
	if r == nil {
		return 0
	}
	text := r.Header.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return min(maxWait, max(0, time.Until(at)))
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, maxWait.Seconds()) * float64(time.Second))
}

// isNull reports whether there is nothing in b.
func isNull(b json.RawMessage) bool { return len(b) == 0 || bytes.Equal(b, []byte("null")) }
