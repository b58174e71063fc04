package hostile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/bench/proto"
)

// recorder is a server that records what hostile clients send, and answers what a test sets.
type recorder struct {
	ln   net.Listener
	mute bool // nothing is upgraded: bytes are kept
	shut bool // each connection is closed at once
	// answer returns what a client gets for a text, and whether it is the last.
	answer func(text string) (b []byte, last bool)

	serving sync.WaitGroup
	mu      sync.Mutex
	stuck   bool     // an answer was not taken within a second
	from    []string // addresses of connections
	texts   []string
	auth    []string // of each upgrade: the header
	raw     []byte
}

func newRecorder(t *testing.T, answer func(string) ([]byte, bool)) *recorder {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{ln: ln, answer: answer}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.serving.Go(func() { r.serve(c) })
		}
	}()
	return r
}

func (r *recorder) keep(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
}

func (r *recorder) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	var shut, mute bool
	r.keep(func() { r.from, shut, mute = append(r.from, host), r.shut, r.mute })
	if shut {
		return
	}
	in := bufio.NewReader(c)
	if mute {
		b := make([]byte, 4096)
		for {
			n, err := in.Read(b)
			r.keep(func() { r.raw = append(r.raw, b[:n]...) })
			if err != nil {
				return
			}
		}
	}
	var request strings.Builder
	for !strings.HasSuffix(request.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "Authorization:") {
			r.keep(func() { r.auth = append(r.auth, strings.TrimSpace(line)) })
		}
		request.WriteString(line)
	}
	key, _ := proto.RequestKey([]byte(request.String()))
	hello := []byte(`{"jsonrpc":"2.0","method":"authenticated","params":{}}`)
	_, _ = c.Write(proto.AppendServerFrame(proto.AppendAccept(nil, key), proto.OpText, hello))
	for {
		op, p, err := readClientFrame(in)
		if err != nil {
			return
		}
		if op == proto.OpText {
			r.keep(func() { r.texts = append(r.texts, string(p)) })
		}
		b, last := r.answer(string(p))
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = c.Write(b)
		r.keep(func() { r.stuck = r.stuck || errors.Is(err, os.ErrDeadlineExceeded) })
		if last { // further writes are read for a while, or a reset would destroy our last word
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			_, _ = io.Copy(io.Discard, in)
			return
		}
	}
}

// answered accepts every join and leave.
func answered(text string) (b []byte, last bool) {
	var m clientRequest
	if json.Unmarshal([]byte(text), &m) != nil || len(m.Params.Rooms) == 0 {
		return nil, true
	}
	const result = `{"rooms":[{"room":%q,"status":"joined","positions":{"epoch":"e1","0":41,"3":9}}]}`
	b = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":`+result+`}`, m.ID, m.Params.Rooms[0])
	return proto.AppendServerFrame(nil, proto.OpText, b), false
}

// clientRequest is a request of a client, with the members that a recorder answers.
type clientRequest struct {
	Method string
	ID     int
	Params struct {
		Join, Rooms []string
		Since       map[string]map[string]any
	}
}

// readClientFrame reads a client's frame and unmasks it.
func readClientFrame(in io.Reader) (op byte, p []byte, err error) {
	f, err := ws.ReadFrame(in)
	if err == nil && !f.Header.Masked {
		err = fmt.Errorf("an unmasked frame")
	}
	return byte(f.Header.OpCode), ws.UnmaskFrameInPlace(f).Payload, err
}
