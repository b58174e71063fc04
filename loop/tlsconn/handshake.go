package tlsconn

import (
	"crypto/tls"
	"sync"
)

// maxEarly bounds the ciphertext that waits for a worker: crypto/tls takes no
// handshake message over 64 KB, and no client has more to say before it is answered.
const maxEarly = 128 << 10

// someEarly is from where on the poller reads on a tick later: a worker may be busy with
// what came right behind the handshake, and that is no reason to be cut.
const someEarly = 32 << 10

// handshake is what a connection has besides until its handshake is over.
// Conn.mu guards it.
type handshake struct {
	workers *Handshakes
	cond    sync.Cond // of in and over
	in      []byte    // ciphertext that the worker has not read
	asked   bool      // for a worker
	running bool      // a worker has it
	over    bool      // the descriptor is closed
}

// Step is what is to be done with ciphertext that came.
type Step uint8

const (
	StepDecrypt Step = iota // the handshake is over: Lend it
	StepWait                // a worker has it, or will have
	StepBusy                // likewise, and much waits: read on a little later
	StepTooMuch             // no client has so much to say before it is answered: cut it
	StepPlain               // the client speaks plain HTTP: this is all that it said
)

// Received is given ciphertext on the poller's goroutine. Until the handshake is over that
// is kept for the worker.
func (t *Conn) Received(b []byte) (step Step, said []byte) {
	t.mu.Lock()
	h := t.hello
	if h == nil {
		t.mu.Unlock()
		return StepDecrypt, b
	}
	h.in = append(h.in, b...)
	// A method of HTTP: TLS begins with 22. Once a worker was asked for it takes from the
	// front of in, which then may begin with any byte, and the connection is the worker's.
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

// helloCame reports whether a worker would have something to do: a client that
// connects and says nothing, or half a word, takes none.
func helloCame(b []byte) bool {
	const recordHeader, handshake = 5, 22 // RFC 8446, 5.1
	if len(b) < recordHeader {
		return len(b) > 0 && b[0] != handshake
	}
	n := int(b[3])<<8 | int(b[4])
	return b[0] != handshake || n > MaxRecord || len(b) >= recordHeader+n
}

// take lets a worker begin; false: the connection is gone, and whoever closed
// it has told the loop.
func (t *Conn) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hello.running = !t.hello.over
	return t.hello.running
}

// Closed is told that the descriptor is closed; false: a worker is at it, and calls
// Owner.Gone when it is not.
func (t *Conn) Closed() bool {
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

// shake runs one handshake. What the client sent right behind it is decrypted here
// too: the poller may hear no more of it.
func (g *Handshakes) shake(t *Conn) {
	t.tls = tls.Server((*wire)(t), g.cfg.TLS)
	if err := t.tls.Handshake(); err != nil {
		g.failed.Add(1)
		t.owner.Failed(err)
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
		t.owner.Decrypt(in)
		in, done, gone = t.handOver()
	}
	if gone {
		t.owner.Gone()
	}
}
