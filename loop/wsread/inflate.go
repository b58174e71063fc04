package wsread

import (
	"io"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

const (
	// maxRatio is how many times its size a message may inflate to, above freeInflate bytes.
	// Deflate reaches 1,032 with nothing but zeros; JSON reaches 20.
	maxRatio    = 256
	freeInflate = 64 << 10

	// keptInflate is the largest buffer that is kept for the next message.
	keptInflate = 256 << 10
)

// inflater holds what is needed to inflate a message: 45 KB, shared by all pollers.
type inflater struct {
	src deflatedMessage
	r   io.ReadCloser
	out []byte
}

var inflaters = sync.Pool{New: func() any {
	f := &inflater{out: make([]byte, 0, 4<<10)}
	f.r = flate.NewReader(&f.src)
	return f
}}

// inflated inflates a message and passes it on. There is no context takeover.
func inflated(op ws.OpCode, p []byte, maxMessage int, on Events) (fault ws.StatusCode, reason string) {
	f := inflaters.Get().(*inflater)
	defer func() {
		f.src = deflatedMessage{}
		if cap(f.out) <= keptInflate {
			inflaters.Put(f)
		}
	}()
	if fault, reason = f.inflate(p, maxMessage); fault != 0 {
		return fault, reason
	}
	if op == ws.OpText && !utf8.Valid(f.out) {
		return ws.StatusInvalidFramePayloadData, reasonUTF8
	}
	on.Inflated(len(p), len(f.out))
	on.Message(op, f.out)
	return 0, ""
}

// inflate inflates the message into f.out, within the limits.
func (f *inflater) inflate(p []byte, maxMessage int) (fault ws.StatusCode, reason string) {
	f.src = deflatedMessage{p: p}
	_ = f.r.(flate.Resetter).Reset(&f.src, nil) // never fails
	f.out = f.out[:0]
	most := min(maxMessage, max(maxRatio*len(p), freeInflate))
	for {
		if len(f.out) == cap(f.out) {
			grown := make([]byte, len(f.out), min(2*cap(f.out), most+1))
			copy(grown, f.out)
			f.out = grown
		}
		n, err := f.r.Read(f.out[len(f.out):cap(f.out)])
		f.out = f.out[:len(f.out)+n]
		switch {
		case len(f.out) > maxMessage:
			return ws.StatusMessageTooBig, reasonTooBig
		case len(f.out) > most:
			return ws.StatusMessageTooBig, "message inflates to more than 256 times its size"
		case err == io.EOF && !f.src.read():
			return ws.StatusInvalidFramePayloadData, "data after the final block of a deflated message"
		case err == io.EOF:
			return 0, ""
		case err != nil:
			return ws.StatusInvalidFramePayloadData, "message is not deflated"
		}
	}
}

// deflatedMessage returns a message's bytes, then those that permessage-deflate leaves out at its
// end, then a final block.
type deflatedMessage struct {
	p  []byte
	at int
}

const messageEnd = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// ReadByte implements io.ByteReader, so that flate does not buffer.
func (m *deflatedMessage) ReadByte() (byte, error) {
	at := m.at
	switch m.at++; {
	case at < len(m.p):
		return m.p[at], nil
	case at < len(m.p)+len(messageEnd):
		return messageEnd[at-len(m.p)], nil
	}
	return 0, io.ErrUnexpectedEOF
}

// Read implements io.Reader.
func (m *deflatedMessage) Read(b []byte) (n int, err error) {
	for ; n < len(b); n++ {
		if b[n], err = m.ReadByte(); err != nil {
			break
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// read reports whether all of the message was read. A message that ends in a final block of its own
// has one more byte, the start of an empty block (RFC 7692, 7.2.3.4).
func (m *deflatedMessage) read() bool {
	return m.at >= len(m.p) || m.at == len(m.p)-1 && m.p[m.at] == 0
}
