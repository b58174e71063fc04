package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/gobwas/ws"
)

// leanClient compares frames of one room with the rows that were produced, and keeps
// nothing. So hundreds of them can read millions of frames beside the gateway. They compare
// every byte of each payload, every position and every prev.
type leanClient struct {
	conn   net.Conn
	joined chan struct{} // closed at auto_subscribed
	done   chan struct{} // closed at the last row, or at the first fault
	fault  error         // valid after done

	want  [][][]byte // payloads in order, by partition
	total int
	got   atomic.Int64
	parts []leanPart
}

type leanPart struct {
	next int   // the row that comes next
	last int64 // offset of the frame before; -1: there was none
}

func dialLean(g *gateway, user string, want [][][]byte) (*leanClient, error) {
	conn, err := dialRaw(g.url() + "?token=" + g.token(user))
	if err != nil {
		return nil, err
	}
	c := &leanClient{conn: conn, joined: make(chan struct{}), done: make(chan struct{}), want: want,
		parts: make([]leanPart, len(want))}
	for p := range c.parts {
		c.parts[p].last = -1
		c.total += len(want[p])
	}
	go func() {
		defer close(c.done)
		defer conn.Close()
		c.fault = c.read(conn)
	}()
	return c, nil
}

// dialRaw upgrades a connection, and leaves everything after that to the caller.
func dialRaw(url string) (net.Conn, error) {
	conn, br, _, err := ws.Dialer{Timeout: patience}.Dial(context.Background(), url)
	if err != nil || br == nil {
		return conn, err
	}
	early, _ := br.Peek(br.Buffered())
	return frontConn{conn, io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)}, nil
}

// frontConn is a connection with the bytes in front that were already read from it.
type frontConn struct {
	net.Conn
	r io.Reader
}

func (c frontConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// read takes frames apart within the buffer.
func (c *leanClient) read(r io.Reader) error {
	buf := make([]byte, 128<<10)
	from, to := 0, 0
	for {
		n, err := r.Read(buf[to:])
		if err != nil {
			return fmt.Errorf("after %d frames: %w", c.got.Load(), err)
		}
		to += n
		taken := 0
		for {
			op, p, size := cutFrame(buf[from:to])
			if size == 0 {
				break
			}
			if err := c.frame(op, p); err != nil {
				return err
			}
			if op == ws.OpText {
				taken++
			}
			from += size
		}
		if c.got.Load() == int64(c.total) && taken > 0 {
			return nil
		}
		if from > 0 {
			copy(buf, buf[from:to])
			from, to = 0, to-from
		}
		if to == len(buf) {
			return fmt.Errorf("a frame of more than %d bytes", len(buf))
		}
	}
}

// cutFrame finds the first frame of b. Size 0: it is not complete.
func cutFrame(b []byte) (op ws.OpCode, payload []byte, size int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	head, n := 2, int(b[1])
	switch {
	case n == 126 && len(b) >= 4:
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		head, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	case n >= 126:
		return 0, nil, 0
	}
	if len(b) < head+n {
		return 0, nil, 0
	}
	return ws.OpCode(b[0] & 0x0f), b[head : head+n], head + n
}

func (c *leanClient) frame(op ws.OpCode, p []byte) error {
	switch {
	case op == ws.OpPing:
		return ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewPongFrame(bytes.Clone(p))))
	case op == ws.OpClose:
		return fmt.Errorf("closed: %q", p)
	case bytes.HasPrefix(p, frameStart):
		return c.data(p)
	case bytes.Contains(p, []byte(`"method":"auto_subscribed"`)):
		close(c.joined)
	case bytes.Contains(p, []byte(`"method":"gap"`)), bytes.Contains(p, []byte(`"error"`)):
		return fmt.Errorf("after %d frames: %s", c.got.Load(), p)
	}
	return nil
}

// data compares one envelope with the row that is due in its partition.
func (c *leanClient) data(p []byte) error {
	at := bytes.Index(p, posLabel)
	if at < 0 {
		return fmt.Errorf("no pos in %s", p)
	}
	cut := cutter{rest: p[at:]}
	part, off := cut.lean()
	if cut.err != nil || int(part) >= len(c.parts) {
		return fmt.Errorf("%v in %s", cut.err, p)
	}
	s := &c.parts[part]
	if bytes.HasPrefix(cut.rest, prevLabel) {
		if q, prev := cut.lean(); cut.err != nil || q != part || prev != s.last && s.last >= 0 {
			return fmt.Errorf("prev is not %d:%d: %s", part, s.last, p)
		}
	} else if s.last >= 0 {
		return fmt.Errorf("no prev, though %d:%d came before: %s", part, s.last, p)
	}
	if off <= s.last {
		return fmt.Errorf("the offset goes back from %d: %s", s.last, p)
	}
	s.last = off
	at = bytes.Index(cut.rest, dataLabel)
	if s.next == len(c.want[part]) {
		return fmt.Errorf("more than was produced in partition %d: %s", part, p)
	}
	if want := c.want[part][s.next]; at < 0 || !bytes.Equal(cut.rest[at+len(dataLabel):len(cut.rest)-1], want) {
		return fmt.Errorf("partition %d row %d: got %s want data %s", part, s.next, p, want)
	}
	s.next++
	c.got.Add(1)
	return nil
}

var (
	posLabel  = []byte(`,"pos":"`)
	prevLabel = []byte(`,"prev":"`)
	dataLabel = []byte(`,"data":`)
)

// lean takes `,"name":"3:1234"` off the front.
func (c *cutter) lean() (part int32, off int64) {
	at := bytes.IndexByte(c.rest, ':') + 2
	i := at
	for ; i < len(c.rest) && c.rest[i] != ':'; i++ {
		part = part*10 + int32(c.rest[i]-'0')
	}
	for i++; i < len(c.rest) && c.rest[i] != '"'; i++ {
		off = off*10 + int64(c.rest[i]-'0')
	}
	if i >= len(c.rest) {
		c.bad("no position")
		return 0, 0
	}
	c.rest = c.rest[i+1:]
	return part, off
}
