package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms/testwait"
)

// crowd is many clients on one goroutine and one epoll set. Each costs a descriptor and the
// rest of an incomplete frame. A test sets the functions that take their frames. They run on
// the crowd's goroutine and under mu, and a frame is valid only during the call.
type crowd struct {
	t     testing.TB
	frame func(g *guest, p []byte)             // a data frame, in the read buffer
	said  func(g *guest, m string, p notified) // any other message, by method; "" is a reply
	ended func(g *guest, code int)             // closed by the gateway; 1006 without a close frame

	receive func(fd int, b []byte) (int, error) // reads, unless the test has another way
	prepare func(fd int) error                  // sets up a new socket
	urgent  bool                                // its goroutine has a thread that runs ahead of others

	mu     sync.Mutex // guards guests, and what the three functions touch
	guests []*guest
	poll   int
	buf    []byte
	done   chan struct{}
	stop   bool
	faults []string
	reads  int64
}

// notified is a message that is not a data frame, with the members that tests need.
type notified struct {
	Params json.RawMessage
	Result json.RawMessage
	Error  *rpcError
}

// guest is one client of a crowd, over all its connections.
type guest struct {
	n      int
	user   string
	fd     int // -1: not connected
	open   bool
	hello  []byte // sent once the connection is upgraded
	rest   []byte // of an incomplete frame
	bytes  int64  // bytes of frames before the current one, since the upgrade
	dialed time.Time
	still  bool // it does not read
}

func newCrowd(t testing.TB, n int, user func(n int) string) *crowd {
	t.Helper()
	return openCrowd(t, n, user, false)
}

func openCrowd(t testing.TB, n int, user func(n int) string, urgent bool) *crowd {
	t.Helper()
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, poll: poll, buf: make([]byte, 256<<10), done: make(chan struct{}), urgent: urgent}
	c.frame = func(*guest, []byte) {}
	c.said = func(*guest, string, notified) {}
	c.ended, c.receive, c.prepare = c.faultEnd, syscall.Read, func(int) error { return nil }
	for i := range n {
		c.guests = append(c.guests, &guest{n: i, user: user(i), fd: -1})
	}
	go c.run()
	t.Cleanup(func() {
		c.do(func() { c.stop = true })
		<-c.done
		for _, g := range c.guests {
			c.drop(g)
		}
		syscall.Close(poll)
	})
	return c
}

// do runs f while no frame is taken.
func (c *crowd) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// fault notes something that is not allowed. The caller holds mu.
func (c *crowd) fault(g *guest, format string, args ...any) {
	if len(c.faults) < 1000 {
		c.faults = append(c.faults, "user "+g.user+": "+fmt.Sprintf(format, args...))
	}
}

func (c *crowd) faultEnd(g *guest, code int) { c.fault(g, "closed with %d", code) }

// check fails the test for the faults so far.
func (c *crowd) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults[:min(5, len(c.faults))] {
		c.t.Error(f)
	}
	if n := len(c.faults); n > 5 {
		c.t.Errorf("and %d more faults", n-5)
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// await polls until ok holds. It calls ok under mu.
func (c *crowd) await(within time.Duration, what string, ok func() bool) {
	c.t.Helper()
	if !testwait.Holds(within, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return ok() || len(c.faults) > 0
	}) {
		c.t.Errorf("not within %s: %s", within, what)
	}
	c.check()
}

func (c *crowd) run() {
	defer close(c.done)
	if c.urgent {
		defer hurry()()
	}
	events := make([]syscall.EpollEvent, 512)
	for {
		n, err := syscall.EpollWait(c.poll, events, 100)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			c.t.Errorf("epoll: %v", err)
			return
		}
		c.mu.Lock()
		for i, ev := range events[:max(n, 0)] {
			if i%32 == 31 { // dialling clients must not wait for all of them
				c.mu.Unlock()
				c.mu.Lock()
			}
			// A guest that was dropped in this batch has another descriptor, or none.
			if g := c.guests[ev.Pad]; g.fd == int(ev.Fd) && !g.still {
				c.read(g)
			}
		}
		stop := c.stop
		c.mu.Unlock()
		if stop {
			return
		}
	}
}

func (c *crowd) read(g *guest) {
	had := copy(c.buf, g.rest)
	n, err := c.receive(g.fd, c.buf[had:])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return
	case err != nil || n == 0:
		c.end(g, 1006)
		return
	}
	c.reads++
	b := c.buf[:had+n]
	if !g.open {
		head, rest, whole := bytes.Cut(b, []byte("\r\n\r\n"))
		if !whole {
			g.rest = append(g.rest[:0], b...)
			return
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(upgradeProof)) {
			c.fault(g, "the upgrade is answered %q", head)
			c.drop(g)
			return
		}
		if b, g.open = rest, true; g.hello != nil {
			c.write(g, g.hello)
		}
	}
	for g.fd >= 0 {
		op, p, size := cutFrame(b)
		if size == 0 {
			break
		}
		b = b[size:]
		c.take(g, op, p)
		g.bytes += int64(size)
	}
	if g.fd < 0 {
		return
	}
	if len(b) == len(c.buf) {
		c.fault(g, "a frame of more than %d bytes", len(b))
		c.drop(g)
		return
	}
	g.rest = append(g.rest[:0], b...)
}

func (c *crowd) take(g *guest, op ws.OpCode, p []byte) {
	switch {
	case op == ws.OpText && bytes.HasPrefix(p, frameStart):
		c.frame(g, p)
	case op == ws.OpText:
		var m struct {
			Method string
			notified
		}
		if err := json.Unmarshal(p, &m); err != nil {
			c.fault(g, "%v in %.200q", err, p)
			return
		}
		c.said(g, m.Method, m.notified)
	case op == ws.OpPing:
		c.write(g, frameBytes(ws.NewPongFrame(bytes.Clone(p))))
	case op == ws.OpClose:
		code, _ := ws.ParseCloseFrameData(p)
		c.write(g, frameBytes(ws.NewCloseFrame(bytes.Clone(p))))
		c.end(g, int(code))
	default:
		c.fault(g, "a frame of opcode %d", op)
	}
}

func (c *crowd) end(g *guest, code int) {
	c.drop(g)
	c.ended(g, code)
}

// drop closes the guest's socket without a close frame, with its unread input.
func (c *crowd) drop(g *guest) {
	if g.fd >= 0 {
		syscall.Close(g.fd)
		g.fd, g.open, g.rest, g.still, g.bytes = -1, false, nil, false, 0
	}
}

// disperse drops all guests, so that the nodes have none to drain.
func (c *crowd) disperse() {
	c.do(func() {
		for _, g := range c.guests {
			c.drop(g)
		}
	})
}

// write sends to a guest. Requests are short, so a socket that does not take one is a fault.
func (c *crowd) write(g *guest, b []byte) {
	if n, err := syscall.Write(g.fd, b); n != len(b) && !errors.Is(err, syscall.EPIPE) &&
		!errors.Is(err, syscall.ECONNRESET) {
		c.fault(g, "sent %d of %d bytes: %v", n, len(b), err)
	}
}

// hold stops a guest's reading, or starts it again.
func (c *crowd) hold(g *guest, still bool) {
	if g.fd < 0 || g.still == still {
		return
	}
	g.still = still
	op := syscall.EPOLL_CTL_ADD
	if still {
		op = syscall.EPOLL_CTL_DEL
	}
	if err := syscall.EpollCtl(c.poll, op, g.fd, g.event()); err != nil {
		c.fault(g, "epoll: %v", err)
	}
}

func (g *guest) event() *syscall.EpollEvent {
	return &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(g.fd), Pad: int32(g.n)}
}

// frameBytes returns a frame as a client sends it.
func frameBytes(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }

// request returns a request as a client sends it.
func request(method string, params any) []byte {
	b, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return frameBytes(ws.NewTextFrame(fmt.Appendf(nil, `{"method":%q,"params":%s,"id":1}`, method, b)))
}

// posOf returns pos and prev of an envelope; prev is noPrev if it is left out.
func posOf(p []byte) (part int32, off, prev int64, rest []byte, ok bool) {
	at := bytes.Index(p, posLabel)
	if at < 0 {
		return 0, 0, 0, p, false
	}
	cut := cutter{rest: p[at:]}
	part, off = cut.lean()
	prev = noPrev
	if cut.err == nil && bytes.HasPrefix(cut.rest, prevLabel) {
		_, prev = cut.lean()
	}
	return part, off, prev, cut.rest, cut.err == nil
}

// joinedAt returns the positions at which auto_subscribed joined a room.
func joinedAt(p notified, room string) (positions, error) {
	var m struct {
		Positions map[string]positions
		Errors    json.RawMessage
	}
	if err := json.Unmarshal(p.Params, &m); err != nil || m.Errors != nil || m.Positions[room].epoch == "" {
		return positions{}, fmt.Errorf("%s is not joined: %v in %.300s", room, err, p.Params)
	}
	return m.Positions[room], nil
}

// spread returns the quantiles of durations in one line.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(len(d)-1, int(math.Ceil(q*float64(len(d))))-1)].Round(100 * time.Microsecond)
	}
	return "p50 " + at(0.5).String() + ", p99 " + at(0.99).String() + ", max " + at(1).String() + " of " +
		strconv.Itoa(len(d))
}
