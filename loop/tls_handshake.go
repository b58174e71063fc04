package loop

import (
	"crypto/tls"
	"net/http"
	"sync"

	"tapecast/loop/upgrade"
)

// maxEarly bounds the ciphertext that waits for a worker: crypto/tls takes no
// handshake message over 64 KB, and no client has more to say before it is answered.
const maxEarly = 128 << 10

// someEarly is from where on the poller reads on a tick later: a worker may be busy with
// what came right behind the handshake, and that is no reason to be cut.
const someEarly = 32 << 10

// greeting is what a connection has besides until its handshake is over.
// secure.mu guards it.
type greeting struct {
	cond    sync.Cond // of in and over
	in      []byte    // ciphertext that the worker has not read
	asked   bool      // for a worker
	running bool      // a worker has it
	over    bool      // the descriptor is closed
}

func newSecure(c *Conn) *secure {
	t := &secure{conn: c, hello: new(greeting)}
	t.hello.cond.L = &t.mu
	return t
}

// received is given ciphertext, on the poller's goroutine, and says whether the peer
// should wait. Until the handshake is over that is not the poller's to know.
func (t *secure) received(c *Conn, b []byte) putOff {
	t.mu.Lock()
	h := t.hello
	if h == nil {
		t.mu.Unlock()
		t.decrypt(c, b)
		return c.tooFast()
	}
	h.in = append(h.in, b...)
	// A method of HTTP: TLS begins with 22. Once a worker was asked for it takes from the
	// front of in, which then may begin with any byte, and secure is the worker's.
	if !h.asked && h.in[0] >= 'A' && h.in[0] <= 'Z' {
		t.mu.Unlock()
		c.answerPlain(h.in)
		return c.tooFast()
	}
	ask := !h.asked && helloCame(h.in)
	h.asked = h.asked || ask
	much, tooMuch := len(h.in) > someEarly, len(h.in) > maxEarly
	h.cond.Signal()
	t.mu.Unlock()
	if tooMuch {
		c.cut()
	} else if ask {
		c.loop.engine.greeters.add(c)
	}
	if much {
		return offPace // the worker first
	}
	return offNot
}

// answerPlain tells a client that speaks plain HTTP where TLS is spoken, in plain.
func (c *Conn) answerPlain(b []byte) {
	const status = http.StatusBadRequest
	v := upgrade.Verdict{Status: status, Body: "this port speaks TLS: connect with wss:// in place of ws://"}
	c.secure = nil
	c.signs.setDeaf()
	c.loop.post(event{kind: evUpgrade, conn: c, data: upgrade.Refuse(v, b), code: status, arg: false})
}

// helloCame says whether a worker would have something to do: a client that
// connects and says nothing, or half a word, takes none.
func helloCame(b []byte) bool {
	const recordHeader, handshake = 5, 22 // RFC 8446, 5.1
	if len(b) < recordHeader {
		return len(b) > 0 && b[0] != handshake
	}
	n := int(b[3])<<8 | int(b[4])
	return b[0] != handshake || n > maxRecord || len(b) >= recordHeader+n
}

// take lets a worker begin; false: the connection is gone, and whoever closed
// it has told the loop.
func (t *secure) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hello.running = !t.hello.over
	return t.hello.running
}

// end is told that the descriptor is closed; false: a worker is at it, and will
// tell the loop when it is not.
func (t *secure) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hello == nil {
		return true
	}
	t.hello.over = true
	if !t.hello.running {
		t.hello.in = nil // it may be long in the queue yet
	}
	t.hello.cond.Signal()
	return !t.hello.running
}

// handOver makes the poller the one who reads, unless there is input left.
func (t *secure) handOver() (in []byte, done, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hello
	if len(h.in) > 0 && !h.over {
		in, h.in = h.in, nil
		return in, false, false
	}
	t.hello = nil
	return nil, true, h.over
}

// greet runs one handshake. What the client sent right behind it is read here
// too: the poller may hear no more of it.
func (g *greeters) greet(c *Conn) {
	t := c.secure
	t.tls = tls.Server(t, c.loop.engine.cfg.TLS)
	if err := t.tls.Handshake(); err != nil {
		g.failed.Add(1)
		c.loop.log.Debug("a TLS handshake failed", "remote", c.Remote().String(), "error", err)
		c.cut()
	} else {
		g.done.Add(1)
		if t.tls.ConnectionState().DidResume {
			g.resumed.Add(1)
		}
	}
	t.records.small = 0 // those of the handshake
	in, done, gone := []byte{}, false, false
	for !done {
		g.step()
		t.decrypt(c, in)
		in, done, gone = t.handOver()
	}
	if gone {
		c.loop.inbox.postLater(event{kind: evGone, conn: c})
	}
}
