package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// rawClient is a WebSocket client that sends any bytes. It takes the server's frames apart
// by hand, so that no library hides a fault of either side.
type rawClient struct {
	t    testing.TB
	conn *net.TCPConn
	in   *bufio.Reader

	deflates bool // permessage-deflate was agreed on
	inflated int  // messages that came deflated
}

const rawRequest = "GET /any HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// rawDial connects, sends a request in pieces of n bytes, and reads the response. With 0 it
// sends everything at once, also frames that follow the request.
func rawDial(t testing.TB, addr, request string, n int) (*rawClient, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{t: t, conn: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 64<<10)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	c.send([]byte(request), n)
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("no response to %q: %v", request, err)
	}
	return c, r
}

// rawOpen connects and upgrades.
func rawOpen(t testing.TB, addr string) *rawClient {
	t.Helper()
	c, r := rawDial(t, addr, rawRequest+"\r\n", 0)
	if r.StatusCode != 101 {
		t.Fatalf("upgrade answered with %s", r.Status)
	}
	return c
}

// send writes b in pieces of n bytes, each a packet of its own as far as TCP allows; 0: at
// once. A server that has given up the connection is not a fault here: what it sent is
// read later.
func (c *rawClient) send(b []byte, n int) {
	if n <= 0 {
		n = len(b)
	}
	for len(b) > 0 {
		k := min(n, len(b))
		if _, err := c.conn.Write(b[:k]); err != nil {
			return
		}
		b = b[k:]
	}
}

// next returns what the server does next: "text …", "binary …", "ping …", "pong …",
// "close CODE", or "end" when it closed the connection.
func (c *rawClient) next() string {
	c.t.Helper()
	var h [10]byte
	switch _, err := io.ReadFull(c.in, h[:2]); {
	case err == io.EOF:
		return "end"
	case err != nil:
		return c.failed(err)
	}
	deflated := c.deflates && h[0]&0xF8 == 0xC0
	if h[0]&0x70 != 0 && !deflated || h[1]&0x80 != 0 {
		return fmt.Sprintf("a frame that begins %x", h[:2])
	}
	n, size := uint64(h[1]), 0
	switch n {
	case 126:
		size = 2
	case 127:
		size = 8
	}
	if _, err := io.ReadFull(c.in, h[8-size+2:]); size > 0 && err != nil {
		return c.failed(err)
	}
	if size > 0 {
		if n = binary.BigEndian.Uint64(h[2:]); n < 126 || size == 8 && n < 1<<16 {
			return fmt.Sprintf("a length of %d in %d bytes", n, size)
		}
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(c.in, p); err != nil {
		return c.failed(err)
	}
	if deflated {
		var err error
		if p, err = inflateMessage(p); err != nil {
			return c.failed(err)
		}
		h[0] &^= 0x40
		c.inflated++
	}
	switch h[0] {
	case 0x81:
		return "text " + digest(p)
	case 0x82:
		return "binary " + digest(p)
	case 0x89:
		return "ping " + digest(p)
	case 0x8A:
		return "pong " + digest(p)
	case 0x88:
		switch {
		case len(p) == 0:
			return "close"
		case len(p) > 1:
			return fmt.Sprint("close ", binary.BigEndian.Uint16(p))
		}
	}
	return fmt.Sprintf("a frame that begins %x and has %d bytes", h[0], n)
}

// failed returns how reading went wrong: a reset can destroy a close frame.
func (c *rawClient) failed(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "nothing"
	}
	return fmt.Sprint("failed: ", err)
}

// digest returns short payloads whole, and long ones as length, ends and checksum.
func digest(p []byte) string {
	if len(p) <= 200 {
		return fmt.Sprintf("%q", p)
	}
	sum := uint64(14695981039346656037)
	for b := p; len(b) > 0; b = b[min(8, len(b)):] {
		var x [8]byte
		copy(x[:], b)
		sum = (sum ^ binary.LittleEndian.Uint64(x[:])) * 1099511628211
	}
	return fmt.Sprintf("%d:%q..%q:%x", len(p), p[:4], p[len(p)-4:], sum)
}

func textOf(s string) string   { return "text " + digest([]byte(s)) }
func binaryOf(s string) string { return "binary " + digest([]byte(s)) }
func pongOf(s string) string   { return "pong " + digest([]byte(s)) }

// rawFrames builds client frames, valid and invalid ones.
type rawFrames struct {
	bytes.Buffer
	mask byte
}

func raw() *rawFrames { return &rawFrames{} }

// add appends a masked frame; first is FIN, RSV and the opcode.
func (f *rawFrames) add(first byte, payload string) *rawFrames {
	f.mask += 0x4B
	mask := [4]byte{f.mask, ^f.mask, f.mask ^ 0x5A, f.mask + 1}
	switch n := len(payload); {
	case n < 126:
		f.Write([]byte{first, 0x80 | byte(n)})
	case n < 1<<16:
		f.Write(binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n)))
	default:
		f.Write(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n)))
	}
	f.Write(mask[:])
	p := []byte(payload)
	ws.Cipher(p, mask, 0)
	f.Write(p)
	return f
}

func (f *rawFrames) text(s string) *rawFrames   { return f.add(0x81, s) }
func (f *rawFrames) binary(s string) *rawFrames { return f.add(0x82, s) }
func (f *rawFrames) ping(s string) *rawFrames   { return f.add(0x89, s) }
func (f *rawFrames) raw(b ...byte) *rawFrames   { f.Write(b); return f }

// code appends a close frame.
func (f *rawFrames) code(code int, reason string) *rawFrames {
	return f.add(0x88, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// fragments appends a message in fragments of n bytes.
func (f *rawFrames) fragments(op byte, s string, n int) *rawFrames {
	for len(s) > n {
		f.add(op, s[:n])
		op, s = 0, s[n:]
	}
	return f.add(0x80|op, s)
}

// ways returns the pieces in which each case is sent: at once, in a few, byte by byte.
func ways(n int) []int {
	if n > 2000 {
		return []int{0, n/7 + 1, 1500}
	}
	return []int{0, n/3 + 1, 1}
}

// converse sends f in every way, each on a new connection, and expects the server's answers
// in order. If the last answer is not a close, the client closes then.
func converse(t *testing.T, addr string, f *rawFrames, want ...string) {
	t.Helper()
	for _, n := range ways(f.Len()) {
		converseIn(t, addr, n, f.Bytes(), want)
	}
}

func converseIn(t *testing.T, addr string, n int, b []byte, want []string) {
	t.Helper()
	c := rawOpen(t, addr)
	defer c.conn.Close()
	sent := make(chan struct{})
	go func() { defer close(sent); c.send(b, n) }()

	for i, w := range want {
		if got := c.next(); got != w {
			t.Fatalf("in pieces of %d: answer %d is %.300s, want %.300s", n, i, got, w)
		}
	}
	if len(want) == 0 || !strings.HasPrefix(want[len(want)-1], "close") {
		<-sent
		c.send(raw().code(1000, "").Bytes(), 0)
		if got := c.next(); got != "close 1000" {
			t.Fatalf("in pieces of %d: our close is answered with %.300s", n, got)
		}
	}
	if got := c.next(); got != "end" {
		t.Fatalf("in pieces of %d: after the close comes %.300s", n, got)
	}
	c.conn.Close()
	<-sent
}
