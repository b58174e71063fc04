package shared

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// What an answer to one of our commands can be. HELLO's is the largest with many parts: it lists the
// modules of the server.
const (
	maxReply = 64 << 10 // bytes of one answer
	maxLine  = 2 << 10  // bytes of a line: a status, an error, a number, a length
	maxParts = 512      // of a list
	maxNest  = 6        // lists in lists
)

// guard is a connection to Redis. It ends when what arrives cannot be an answer: the client takes as
// much memory as an answer says that it will have, and lists in lists as deep as they go.
type guard struct {
	net.Conn
	answer replies
}

// Read reads, and looks at what was read.
func (g *guard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if bad := g.answer.take(b[:n]); bad != nil {
		g.Close()
		return 0, bad
	}
	return n, err
}

// guardTCP is a guard that lets the client see whether a connection that was idle is still good.
type guardTCP struct {
	*guard
	tcp syscall.Conn
}

// SyscallConn returns the socket.
func (g guardTCP) SyscallConn() (syscall.RawConn, error) { return g.tcp.SyscallConn() }

var errReply = errors.New("it does not speak Redis' protocol")

// replies follows a stream of answers in RESP2 and RESP3.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type replies struct {
	line []byte // what has arrived of a line
	skip int    // bytes of a text that are still to come
	left [maxNest]int
	nest int // lists that are not complete, each with left parts to come
	size int // bytes of the answer
}

// take looks at what has arrived.
func (r *replies) take(b []byte) error {
	for len(b) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(b))
			r.skip, b = r.skip-n, b[n:]
			continue
		}
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if len(r.line)+len(line) > maxLine {
			return fmt.Errorf("%w: a line has more than %d bytes", errReply, maxLine)
		}
		r.line = append(r.line, line...)
		if !whole {
			return nil
		}
		if err := r.part(r.line); err != nil {
			return err
		}
		r.line, b = r.line[:0], rest
	}
	return nil
}

// part takes a line, without its \n.
func (r *replies) part(line []byte) error {
	if len(line) < 2 || line[len(line)-1] != '\r' {
		return errReply
	}
	text := string(line[1 : len(line)-1])
	size, count := len(line)+1, 0
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
	case '$', '=', '!':
		n, err := lengthOf(text, maxReply)
		if err != nil {
			return err
		}
		if n >= 0 {
			r.skip = n + 2
			size += r.skip
		}
	case '*', '~', '>', '%':
		n, err := lengthOf(text, maxParts)
		if err != nil {
			return err
		}
		if count = max(0, n); line[0] == '%' {
			count *= 2
		}
	default:
		return errReply
	}
	if r.size += size; r.size > maxReply {
		return fmt.Errorf("%w: an answer has more than %d bytes", errReply, maxReply)
	}
	return r.parted(count)
}

// parted notes that a part is there, with so many parts of its own to come.
func (r *replies) parted(count int) error {
	if count > 0 {
		if r.nest == maxNest {
			return fmt.Errorf("%w: lists in lists, more than %d deep", errReply, maxNest)
		}
		r.left[r.nest] = count
		r.nest++
		return nil
	}
	for r.nest > 0 {
		if r.left[r.nest-1]--; r.left[r.nest-1] > 0 {
			return nil
		}
		r.nest--
	}
	r.size = 0
	return nil
}

// lengthOf reads a length; -1: there is nothing.
func lengthOf(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, errReply
	}
	if n > most {
		return 0, fmt.Errorf("%w: it says that %d bytes or parts follow", errReply, n)
	}
	return n, nil
}
