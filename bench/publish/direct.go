package publish

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

// directSink appends past Kafka, with the gateway's hidden POST /debug/append. It sends
// one request, whose body lasts as long as the run. Each flush is one chunk and one write,
// so the gateway takes it as one batch. One goroutine uses it.
type directSink struct {
	admin  scrape.Port
	conn   net.Conn
	chunk  []byte // the next chunk, behind space for its length
	answer chan directAnswer
}

type directAnswer struct {
	appended int64
	err      error
}

const chunkHead = len("ffffffff\r\n")

// NewDirect returns a sink that is connected to the gateway's append endpoint.
func NewDirect(ctx context.Context, admin scrape.Port) (Sink, error) {
	conn, u, err := admin.Dial(ctx)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Transfer-Encoding": {"chunked"}}
	admin.Authorize(header)
	var head bytes.Buffer
	fmt.Fprintf(&head, "POST %s/debug/append HTTP/1.1\r\nHost: %s\r\n", u.Path, u.Host)
	_ = header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	if _, err := conn.Write(head.Bytes()); err != nil {
		_ = conn.Close() // it is broken
		return nil, fmt.Errorf("cannot begin to append: %w", err)
	}
	s := &directSink{admin: admin, conn: conn, answer: make(chan directAnswer, 1)}
	s.chunk = make([]byte, chunkHead, 64<<10)
	go s.listen()
	return s, nil
}

// listen waits for the answer. The answer comes after the end of the body, or at once if
// something is wrong. listen ends with the connection.
func (s *directSink) listen() {
	resp, err := http.ReadResponse(bufio.NewReader(s.conn), nil)
	if err != nil {
		s.answer <- directAnswer{err: fmt.Errorf("the gateway ended the append: %w", err)}
		return
	}
	defer resp.Body.Close()
	var a struct {
		Appended int64 `json:"appended"`
	}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		err = job.Inputf("the gateway has no append endpoint: start it with tapecast run --direct, or set " +
			"admin.direct, admin.write and admin.token_file")
	case resp.StatusCode != http.StatusOK:
		err = s.admin.Refusal(resp)
	default:
		if err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&a); err != nil {
			err = fmt.Errorf("cannot read the append's answer: %w", err)
		}
	}
	s.answer <- directAnswer{appended: a.Appended, err: err}
}

func (s *directSink) Put(room string, _, value []byte) error {
	s.chunk = binary.BigEndian.AppendUint16(s.chunk, uint16(len(room)))
	s.chunk = append(s.chunk, room...)
	s.chunk = binary.BigEndian.AppendUint32(s.chunk, uint32(len(value)))
	s.chunk = append(s.chunk, value...)
	return nil
}

func (s *directSink) Flush() (time.Duration, error) {
	select {
	case a := <-s.answer:
		s.answer <- a
		if a.err == nil {
			a.err = errors.New("the gateway ended the append early")
		}
		return 0, a.err
	default:
	}
	n := len(s.chunk) - chunkHead
	if n == 0 {
		return 0, nil
	}
	copy(s.chunk, fmt.Sprintf("%08x\r\n", n))
	s.chunk = append(s.chunk, "\r\n"...)
	began := time.Now()
	_, err := s.conn.Write(s.chunk)
	blocked := time.Since(began)
	s.chunk = s.chunk[:chunkHead]
	if err != nil {
		select { // the answer has the reason, if there is one
		case a := <-s.answer:
			if a.err != nil {
				return blocked, a.err
			}
		case <-time.After(time.Second):
		}
		return blocked, fmt.Errorf("cannot append: %w", err)
	}
	return blocked, nil
}

func (s *directSink) Close(ctx context.Context) (int64, error) {
	defer func() { _ = s.conn.Close() }() // either all was answered, or no answer will come
	if _, err := s.Flush(); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(s.conn, "0\r\n\r\n"); err != nil {
		return 0, fmt.Errorf("cannot end the append: %w", err)
	}
	select {
	case a := <-s.answer:
		return a.appended, a.err
	case <-ctx.Done():
		return 0, errors.New("the gateway did not answer the append in time")
	}
}
