package hostile

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/proto"
)

// conn is one connection of a hostile client. Its goroutine writes; it reads
// too, unless listen has another one do so.
type conn struct {
	*client.Conn
	raw       *net.TCPConn
	n, round  int
	out       Tally
	listening bool
	over      chan struct{}   // closed when the listening has ended
	done      <-chan struct{} // closed when the attack is over
}

func (c *conn) write(b []byte, frames int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.Write(b)
	c.out.Bytes += int64(n)
	if n == len(b) {
		c.out.Frames += frames
	}
	return n, err
}

// request writes one: format has places for a list of rooms and for an id.
func (c *conn) request(format, rooms string, id int) error {
	_, err := c.write(proto.AppendFrame(nil, proto.OpText, fmt.Appendf(nil, format, rooms, id), proto.MaskKey()), 1)
	return err
}

// take reads one frame and counts it. why is how the connection ended, if it did; a
// close frame is not answered, and who floods goes on until it is cut.
func (c *conn) take(count *Tally) (p []byte, why string) {
	op, p, err := c.Next()
	switch {
	case err != nil:
		return nil, client.EndOf(op, p, err)
	case op == proto.OpClose:
		return nil, client.EndOf(op, p, nil)
	case op == proto.OpText:
		count.Answers++
		if code := errorCode(p); code != "" {
			Bump(count.Errors, code)
		}
		return p, ""
	}
	return nil, ""
}

// errorCode is the code of an answer that is an error, or of the first room in it
// that is refused; "": there is none.
func errorCode(p []byte) string {
	_, rest, _ := bytes.Cut(p, []byte(`"code":`))
	end := bytes.IndexAny(rest, ",}")
	if end < 2 || end > 8 || rest[0] != '-' {
		return ""
	}
	return string(rest[:end])
}

// listen has a goroutine read what comes until the connection ends, and tell how.
func (c *conn) listen() <-chan string {
	c.listening = true
	ended := make(chan string, 1)
	go func() {
		defer close(c.over)
		count := NewTally()
		for {
			if _, why := c.take(count); why != "" {
				c.out.Answers = count.Answers
				maps.Copy(c.out.Errors, count.Errors)
				ended <- why
				return
			}
		}
	}()
	return ended
}

// broken is for a connection that cannot be written to: why it ended is what reading
// gives, soon.
func (c *conn) broken(ended <-chan string, err error) string {
	_ = c.raw.SetReadDeadline(time.Now().Add(2 * time.Second)) // fails on a closed one only
	if why := <-ended; why != client.NoAnswer {
		return why
	}
	return client.EndOf(0, nil, err)
}

// ask sends a request and reads until it is answered. A connection that has no answer
// in time is of no use any more.
func (c *conn) ask(id int, format, rooms string) (answer []byte, why string) {
	if err := c.request(format, rooms, id); err != nil {
		return nil, client.EndOf(0, nil, err)
	}
	want := fmt.Appendf(nil, `"id":%d,`, id)
	_ = c.raw.SetReadDeadline(time.Now().Add(AnswerPatience)) // fails on a closed one only
	for {
		p, why := c.take(&c.out)
		if why != "" {
			return nil, why
		}
		if bytes.Contains(p[:min(len(p), 80)], want) {
			return slices.Clone(p), ""
		}
	}
}

// rest lets time pass; why is that the attack is over meanwhile.
func (c *conn) rest(d time.Duration) (why string) {
	select {
	case <-c.done:
		return client.ClosedHere
	case <-time.After(d):
		return ""
	}
}

// drain reads what comes on a connection that is not upgraded, until it ends.
func (c *conn) drain() string {
	n, err := io.Copy(io.Discard, c.raw)
	c.Read += n
	if err == nil {
		err = io.EOF
	}
	return client.EndOf(0, nil, err)
}
