package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// client is one WebSocket connection that records everything it gets. One goroutine reads.
// Any other may call the methods.
type client struct {
	t    testing.TB
	name string
	conn net.Conn

	mu        sync.Mutex
	news      sync.Cond // of mu; signals each message
	rooms     map[string]*room
	past      []*room              // memberships that have ended
	wildcards map[string]positions // positions of wildcards
	notices   []notice
	replies   map[string]reply
	methods   map[string]string // of requests, by id
	sums      bool              // keep checksums of the data, not the data
	heard     func([]byte)      // gets each message; nil: nobody does
	deflate   bool              // permessage-deflate was agreed on
	small     int               // messages that came deflated
	bare      [][]byte
	faults    []string
	code      int // of the close frame; 1006: there was none
	reason    string
	closed    bool
	ended     time.Time
	pongs     int
	nextID    int

	writing sync.Mutex
	reading sync.Mutex // held: the client does not read
}

type notice struct {
	Method string
	Params json.RawMessage
}

type reply struct {
	Result json.RawMessage
	Error  *rpcError
}

type rpcError struct {
	Code    int
	Message string
	Data    json.RawMessage
}

// read runs until the connection ends.
func (c *client) read(br *bufio.Reader) {
	var message, again []byte
	for {
		h, err := ws.ReadHeader(br)
		c.whileHeld()
		if err != nil {
			c.end(1006, err.Error())
			return
		}
		// A client that keeps only sums keeps nothing of a frame, and uses its memory again.
		p := again
		if !c.sums || int64(cap(p)) < h.Length {
			p = make([]byte, h.Length)
		}
		p = p[:h.Length]
		if _, err := io.ReadFull(br, p); err != nil {
			c.end(1006, err.Error())
			return
		}
		if again = nil; c.sums && h.OpCode == ws.OpText && h.Fin && message == nil && bytes.HasPrefix(p, frameStart) {
			again = p
		}
		if c.deflate && h.Rsv1() && h.OpCode.IsData() {
			if p, err = inflateMessage(p); err != nil {
				c.fault("a frame that does not inflate: %v", err)
			}
			h.Rsv = 0
			c.update(func() { c.small++ })
		}
		if h.Masked || h.Rsv != 0 {
			c.fault("a frame with mask %v and reserved bits %d", h.Masked, h.Rsv)
		}
		switch h.OpCode {
		case ws.OpPing:
			c.write(ws.NewPongFrame(p))
		case ws.OpPong:
			c.update(func() { c.pongs++ })
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(p)
			c.write(ws.NewCloseFrame(p))
			c.end(int(code), reason)
			return
		default:
			if message = appendTo(message, p); h.Fin {
				m := message
				if c.heard != nil {
					c.heard(m)
				}
				c.update(func() { c.take(m) })
				message = nil
			}
		}
	}
}

// appendTo appends, but copies nothing to an empty message.
func appendTo(message, p []byte) []byte {
	if message == nil {
		return p
	}
	return append(message, p...)
}

// whileHeld waits as long as a test stops the client's reading.
func (c *client) whileHeld() {
	c.reading.Lock()
	defer c.reading.Unlock()
}

func (c *client) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.news.Broadcast()
}

func (c *client) end(code int, reason string) {
	c.conn.Close()
	c.update(func() { c.closed, c.ended, c.code, c.reason = true, time.Now(), code, reason })
}

func (c *client) fault(format string, args ...any) {
	c.update(func() { c.faultLocked(format, args...) })
}

func (c *client) faultLocked(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *client) write(f ws.Frame) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_ = ws.WriteFrame(c.conn, ws.MaskFrame(f)) // the reader notices a dead connection
}

func (c *client) sendText(s string) { c.write(ws.NewTextFrame([]byte(s))) }

// await waits until ok holds. It calls ok under the lock.
func (c *client) await(what string, ok func() bool) {
	c.t.Helper()
	c.awaitFor(patience, what, ok)
}

func (c *client) awaitFor(d time.Duration, what string, ok func() bool) {
	c.t.Helper()
	stop := time.AfterFunc(d, func() { c.update(func() {}) })
	defer stop.Stop()
	end := time.Now().Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	for !ok() {
		if c.closed && c.code != 0 {
			c.t.Fatalf("client %s: closed with %d %q while waiting for %s", c.name, c.code, c.reason, what)
		}
		if !time.Now().Before(end) {
			c.t.Fatalf("client %s: no %s within %s; faults %q, frames %s, last notices %s", c.name, what, d, c.faults,
				c.counts(), c.lastNotices())
		}
		c.news.Wait()
	}
}

func (c *client) counts() string {
	s := ""
	for name, r := range c.rooms {
		s += fmt.Sprintf("%s %d %q; ", name, len(r.frames), r.faults)
	}
	return s
}

func (c *client) lastNotices() string {
	s := ""
	for _, n := range c.notices[max(0, len(c.notices)-5):] {
		s += fmt.Sprintf("%s %.200s; ", n.Method, n.Params)
	}
	return s
}

// notice waits for the first notice with that name, and returns its params.
func (c *client) notice(method string) json.RawMessage {
	c.t.Helper()
	var found json.RawMessage
	c.await(method, func() bool {
		i := slices.IndexFunc(c.notices, func(n notice) bool { return n.Method == method })
		if i >= 0 {
			found = c.notices[i].Params
		}
		return i >= 0
	})
	return found
}

// call sends a request and waits for its reply.
func (c *client) call(method string, params any) reply {
	c.t.Helper()
	c.mu.Lock()
	c.nextID++
	id := strconv.Itoa(c.nextID)
	c.mu.Unlock()
	c.request(id, method, params)
	return c.reply(id)
}

func (c *client) request(id, method string, params any) {
	c.t.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.methods[id] = method
	c.mu.Unlock()
	c.sendText(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s,"id":%s}`, method, b, id))
}

func (c *client) reply(id string) reply {
	c.t.Helper()
	var r reply
	c.await("reply to "+id, func() bool {
		var ok bool
		r, ok = c.replies[id]
		return ok
	})
	return r
}

// awaitClose waits for the end, and returns the close code.
func (c *client) awaitClose(d time.Duration) int {
	c.t.Helper()
	stop := time.AfterFunc(d, func() { c.update(func() {}) })
	defer stop.Stop()
	end := time.Now().Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		if !time.Now().Before(end) {
			c.t.Fatalf("client %s: not closed within %s; last notices %s", c.name, d, c.lastNotices())
		}
		c.news.Wait()
	}
	return c.code
}

// leave closes the connection in order.
func (c *client) leave() {
	c.t.Helper()
	c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	c.awaitClose(patience)
}
