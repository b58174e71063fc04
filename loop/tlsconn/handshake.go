package tlsconn

import (
	"crypto/tls"
	"sync"
)

// maxEarly bounds the ciphertext that waits for a worker. crypto/tls takes no handshake message
// over 64 KB, and no client has more to say before it is answered.
const maxEarly = 128 << 10

// someEarly is from how many bytes on the poller reads a tick later. A worker may be busy with what
// came right after the handshake, which is not a reason to cut the connection.
const someEarly = 32 << 10

// handshake is state that a connection needs until its handshake is over. Conn.mu guards it.
type handshake struct {
	workers *Handshakes
	cond    sync.Cond // of in and over
	in      []byte    // ciphertext that the worker has not read
	asked   bool      // a worker was asked for
	running bool      // a worker has it
	over    bool      // the descriptor is closed
}

// Step says what to do with ciphertext that came.
type Step uint8

const (
	StepDecrypt Step = iota // the handshake is over: Lend it
	StepWait                // a worker has it, or will have
	StepBusy                // likewise, and much waits: read more a little later
	StepTooMuch             // no client has so much to say before it is answered: cut the connection
	StepPlain               // the client speaks plain HTTP: this is all that it said
)

// Received handles ciphertext on the poller's goroutine. Until the handshake is over it is kept for
// the worker.
func (t *Conn) Received(b []byte) (step Step, said []byte) {
	t.mu.Lock()
	h := t.hello
	if h == nil {
		t.mu.Unlock()
		return StepDecrypt, b
	}
	h.in = append(h.in, b...)
	// HTTP begins with the letters of a method, TLS with 22. Once a worker was asked for, it takes
	// from the front of in, which may then begin with any byte, and the connection belongs to the
	// worker.
	if !h.asked && h.in[0] >= 'A' && h.in[0] <= 'Z' {
		t.mu.Unlock()
		return StepPlain, h.in
	}
	ask := !h.asked && helloCame(h.in)
	h.asked = h.asked || ask
	much, tooMuch := len(h.in) > someEarly, len(h.in) > maxEarly
	h.cond.Signal()
	t.mu.Unlock()
	if tooMuch {
		return StepTooMuch, nil
	}
	if ask {
		h.workers.add(t)
	}
	if much {
		return StepBusy, nil
	}
	return StepWait, nil
}

// helloCame reports whether a worker would have something to do. A client that connects and sends
// nothing, or half a record, takes none.
func helloCame(b []byte) bool {
	const recordHeader, handshake = 5, 22 // RFC 8446, 5.1
	if len(b) < recordHeader {
		return len(b) > 0 && b[0] != handshake
	}
	n := int(b[3])<<8 | int(b[4])
	return b[0] != handshake || n > MaxRecord || len(b) >= recordHeader+n
}

// take lets a worker begin. It returns false if the connection is gone. The goroutine that closed
// it has told the loop.
func (t *Conn) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hello.running = !t.hello.over
	return t.hello.running
}

// Closed is called when the descriptor is closed. It returns false if a worker still runs, which
// calls Owner.Gone when it ends.
func (t *Conn) Closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hello == nil {
		return true
	}
	t.hello.over = true
	if !t.hello.running {
		t.hello.in = nil // it may stay in the queue for long
	}
	t.hello.cond.Signal()
	return !t.hello.running
}

// handOver makes the poller read from now on, unless there is input left.
func (t *Conn) handOver() (in []byte, done, gone bool) {
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

// shake runs one handshake. What the client sent right after it is decrypted here too, since the
// poller may get no further event.
func (g *Handshakes) shake(t *Conn) {
	t.tls = tls.Server((*netConn)(t), g.cfg.TLS)
	err := t.tls.Handshake()
	if g.cfg.Ended != nil {
		leaf, _ := t.Certificate()
		g.cfg.Ended(t.owner, leaf, err)
	}
	if err != nil {
		g.failed.Add(1)
		t.owner.Failed(err)
	} else {
		g.done.Add(1)
		if t.tls.ConnectionState().DidResume {
			g.resumed.Add(1)
		}
	}
	t.records.small = 0 // do not count those of the handshake
	in, done, gone := []byte{}, false, false
	for !done {
		g.step()
		t.owner.Decrypt(in)
		in, done, gone = t.handOver()
	}
	if gone {
		t.owner.Gone()
	}
}
