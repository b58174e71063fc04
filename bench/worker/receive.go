package worker

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"unsafe"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sys/unix"

	"tapecast/bench/proto"
)

// receive reads everything in a client's socket. The epoll set is edge-triggered. A read
// that does not fill the buffer has emptied the socket, and later bytes are a new event.
func (l *loop) receive(i int, c *client, ev uint32) {
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	room := l.headroom()
	for {
		k, into := 0, l.cipher
		if c.wire == nil {
			k, into = copy(l.buf[room-len(c.tail):], c.tail), l.buf[room:]
		}
		if l.readLimit > 0 {
			into = into[:min(len(into), l.readLimit)]
		}
		n, errno := l.readSome(i, int(c.fd), into)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case errno != 0:
			l.end(i, c, "connection broke: "+errno.Error())
			return
		case n == 0:
			l.end(i, c, "ended without a close frame")
			return
		}
		l.reads++
		now := l.clock.Now()
		if now >= l.window.edge {
			l.window.cross(l, now)
		}
		if stamp := l.reader.stamp; stamp != 0 && l.reader.started {
			l.lag.Record(max(0, now+l.reader.timing.Anchor-stamp))
		}
		var err error
		if c.wire != nil {
			err = l.decrypt(i, c, into[:n], now)
		} else {
			b, used := l.buf[room-k:room+n], 0
			if used, err = l.take(i, c, b, now); err == nil {
				c.tail = append(c.tail[:0], b[used:]...)
			}
		}
		if err != nil {
			l.fault(i, c, err)
			return
		}
		if c.fd < 0 {
			return
		}
		if n < readSize && ev&ended == 0 {
			return
		}
	}
}

func (l *loop) readSome(i, fd int, b []byte) (int, unix.Errno) {
	if l.stamped(i) {
		n, stamp, errno := l.stamper.read(fd, b)
		if l.reader.stamp = stamp; stamp != 0 {
			l.reader.stamp -= l.reader.timing.Skew
		}
		return n, errno
	}
	l.reader.stamp = 0
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// stamped reports whether the kernel's receive times are taken at client i. They are
// taken at all clients or at a sample, and show how long received bytes wait for us.
func (l *loop) stamped(i int) bool {
	return l.job.Stamp || i&sampleMask == 0
}

// sampleMask puts one client in 128 into the sample: recvmsg costs more than read.
const sampleMask = 127

// take gives the bytes of client i to the part that waits for them.
func (l *loop) take(i int, c *client, b []byte, now int64) (used int, err error) {
	if c.state == stUpgrading {
		used, err = proto.ParseUpgrade(b, proto.UpgradeKey(l.seed+uint64(i)))
		if used == 0 || err != nil {
			return 0, err
		}
		if l.speaker.opened(i, c); c.fd < 0 {
			return used, nil
		}
	}
	n, err := l.reader.read(i, b[used:], now)
	return used + n, err
}

// inflater inflates deflated frames. All clients of a room get the same frames. So it
// inflates each once, and recognises its bytes after that: the bench must not spend on
// inflating what the gateway saves on deflating.
type inflater struct {
	seed  maphash.Seed
	known map[uint64]inflated
}

type inflated struct{ small, text []byte }

// maxKnown bounds the frames that are remembered. No client falls that far behind.
const maxKnown = 1024

// inflate returns the message of a deflated payload (RFC 7692, 7.2.2).
func (f *inflater) inflate(p []byte) ([]byte, error) {
	key := maphash.Bytes(f.seed, p)
	if m, ok := f.known[key]; ok && bytes.Equal(m.small, p) {
		return m.text, nil
	}
	const end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader(end))))
	if err != nil {
		return nil, fmt.Errorf("cannot inflate a frame: %w", err)
	}
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.known[key] = inflated{bytes.Clone(p), text}
	return text, nil
}
