package hostile

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/proto"
)

// conn is one connection of a hostile client. Its goroutine writes, and reads unless listen does.
type conn struct {
	*client.Conn
	raw       *net.TCPConn
	n, round  int
	out       Tally // the goroutine that reads has Answers and Errors, the one that writes the rest
	listening bool
	over      chan struct{}   // closed when listening has ended
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

// request writes a request. The format takes a list of rooms and an id.
func (c *conn) request(format, rooms string, id int) error {
	_, err := c.write(proto.AppendFrame(nil, proto.OpText, fmt.Appendf(nil, format, rooms, id)), 1)
	return err
}

// take reads one frame and counts it. why is how the connection ended, if it did. A close
// frame is not answered, and a flooding client goes on until it is cut off.
func (c *conn) take() (p []byte, why string) {
	op, p, err := c.Next()
	switch {
	case err != nil:
		return nil, client.EndOf(op, p, err)
	case op == proto.OpClose:
		return nil, client.EndOf(op, p, nil)
	case op == proto.OpText:
		c.out.Answers++
		if code := errorCode(p); code != "" {
			Bump(c.out.Errors, code)
		}
		return p, ""
	}
	return nil, ""
}

// errorCode returns the code of an error answer, or of the first refused room; "": there is none.
func errorCode(p []byte) string {
	_, rest, _ := bytes.Cut(p, []byte(`"code":`))
	end := bytes.IndexAny(rest, ",}")
	if end < 2 || end > 8 || rest[0] != '-' {
		return ""
	}
	return string(rest[:end])
}

// listen starts a goroutine that reads until the connection ends, and sends how it ended.
func (c *conn) listen() <-chan string {
	c.listening = true
	ended := make(chan string, 1)
	go func() {
		defer close(c.over)
		for {
			if _, why := c.take(); why != "" {
				ended <- why
				return
			}
		}
	}()
	return ended
}

// broken handles a failed write. The reader will soon know why the connection ended.
func (c *conn) broken(ended <-chan string, err error) string {
	_ = c.raw.SetReadDeadline(time.Now().Add(2 * time.Second)) // fails only on a closed connection
	if why := <-ended; why != client.NoAnswer {
		return why
	}
	return client.EndOf(0, nil, err)
}

// ask sends a request and reads its answer. Without one in time, the connection is useless.
func (c *conn) ask(id int, format, rooms string) (answer []byte, why string) {
	if err := c.request(format, rooms, id); err != nil {
		return nil, client.EndOf(0, nil, err)
	}
	want := fmt.Appendf(nil, `"id":%d,`, id)
	_ = c.raw.SetReadDeadline(time.Now().Add(AnswerPatience)) // fails only on a closed connection
	for {
		p, why := c.take()
		if why != "" {
			return nil, why
		}
		if bytes.Contains(p[:min(len(p), 80)], want) {
			return slices.Clone(p), ""
		}
	}
}

// rest lets time pass. why is set if the attack is over meanwhile.
func (c *conn) rest(d time.Duration) (why string) {
	select {
	case <-c.done:
		return client.ClosedHere
	case <-time.After(d):
		return ""
	}
}

// drain reads from a connection that is not upgraded, until it ends.
func (c *conn) drain() string {
	n, err := io.Copy(io.Discard, c.raw)
	c.Read += n
	if err == nil {
		err = io.EOF
	}
	return client.EndOf(0, nil, err)
}
