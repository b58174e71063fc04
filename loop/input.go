package loop

import (
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/lesismal/nbio"
)

// This file runs on the pollers' goroutines: one poller reads one connection.

// maxDiscard is how much is read from a client that is being closed, so that
// the close frame reaches it. Who goes on for longer is reset.
const maxDiscard = 4 << 20

// onRead takes all input that there is. The pollers are told of changes only
// (edge-triggered), and nbio drops a connection right after this call if the
// event said that the peer is gone: so the input is always read to its end,
// which shows here first.
func (e *Engine) onRead(nb *nbio.Conn) {
	e.accepted.Load() // nbio passes nb on without any other synchronisation
	c, ok := nb.Session().(*Conn)
	if !ok {
		p := nb.Session().(*probe)
		p.once.Do(func() { close(p.seen) })
		return
	}
	c.heard.Store(uint32(e.now() / tickLen))
	buf := e.nb.PollerBuffer(nb)
	for {
		n, err := c.read(buf)
		switch {
		case n > 0 && c.deaf.Load():
			if c.discarded += uint32(n); c.discarded > maxDiscard {
				c.shut()
				return
			}
		case n > 0:
			c.arrived(buf[:n])
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return
		default:
			c.shut()
			return
		}
	}
}

func (c *Conn) read(buf []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return 0, unix.EBADF
	}
	return unix.Read(int(c.fd), buf)
}

// shut closes the descriptor, at the end of the input. nbio forgets its number
// first, while it still is this connection's.
func (c *Conn) shut() {
	c.mu.Lock()
	fd := c.fd
	if fd >= 0 {
		c.deaf.Store(true)
		c.nb.Close()
		unix.Close(int(fd))
		c.fd = -1
	}
	c.mu.Unlock()
	if fd >= 0 && (c.secure == nil || c.secure.end()) {
		c.loop.inbox.postLater(event{kind: evGone, conn: c})
	}
}

// arrived is given what was read from the socket.
func (c *Conn) arrived(b []byte) {
	if c.secure != nil {
		c.secure.received(c, b)
		return
	}
	c.received(b)
}

// received is given bytes of the upgrade request, and later of frames.
func (c *Conn) received(b []byte) {
	if c.reading {
		c.feed(b)
		return
	}
	if c.asked != nil {
		*c.asked = append(*c.asked, b...)
		b = *c.asked
	}
	e := c.loop.engine
	response, used, status := upgrade(b, e.cfg.Path, c.Remote(), func(r *Request) Verdict {
		if !e.gate.place(c) {
			return tooMany
		}
		c.judged = true
		c.judging.Store(true)
		defer c.judging.Store(false)
		v := e.cfg.Handler.Open(c, r)
		c.deflate = v.Deflate && r.Deflate
		return v
	})
	if status == 0 {
		if c.asked == nil {
			kept := append([]byte(nil), b...)
			c.asked = &kept
		}
		return
	}
	c.asked, c.reading = nil, status == 101
	if !c.reading {
		c.deaf.Store(true)
	}
	c.loop.post(event{kind: evUpgrade, conn: c, data: response, code: uint16(status), arg: c.judged})
	if c.reading && used < len(b) {
		c.feed(b[used:])
	}
}

func (c *Conn) feed(b []byte) {
	if fault, reason := c.reader.feed(b, limits{c.loop.engine.cfg.MaxMessage, c.deflate}, c); fault != 0 {
		c.loop.post(event{kind: evFault, conn: c, code: uint16(fault), data: []byte(reason)})
		c.deaf.Store(true)
	}
}

// The reader's events.

func (c *Conn) message(op ws.OpCode, p []byte) {
	c.loop.handler.Message(c, byte(op), p)
	if c.deaf.Load() {
		c.reader.end()
	}
}

func (c *Conn) ping(p []byte) {
	c.loop.post(event{kind: evPing, conn: c, data: append([]byte(nil), p...)})
}

func (c *Conn) pong([]byte) {} // onRead has noted that the peer lives

func (c *Conn) closed(code ws.StatusCode, _ []byte) {
	c.deaf.Store(true)
	c.loop.post(event{kind: evPeerClose, conn: c, code: uint16(code)})
}
