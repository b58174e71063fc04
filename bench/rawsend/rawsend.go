package rawsend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
)

// Job tells a rawsend process what to send.
type Job struct {
	Clients int    `json:"clients"` // at most
	Size    int    `json:"size"`
	Fields  string `json:"fields"`
	Bare    bool   `json:"bare"`
	Room    string `json:"room"`
	Batch   int    `json:"batch"` // messages in one system call. 0: 1
}

// Answer is the process's reply: where it listens, and at the end what it did.
type Answer struct {
	Err     string `json:"err,omitempty"`
	Addr    string `json:"addr,omitempty"`
	Admin   string `json:"admin,omitempty"`
	Total   int64  `json:"total"`   // messages sent
	Dropped int64  `json:"dropped"` // sends that a full socket refused
	Short   int64  `json:"short"`   // sends that a full socket took in part
}

// rawsend sends as a C program would do it, with prebuilt frames. With Batch, one call sends
// several messages. It answers the opening handshake and `authenticate` like a gateway, so
// the same clients measure both. One goroutine owns it.
type rawsend struct {
	job    Job
	shape  job.ValueShape
	clock  machine.Clock
	ep     int
	listen int
	events []unix.EpollEvent
	conns  map[int32]*rawConn
	ready  []*rawConn // clients that have joined, in the order in which they are sent to
	in     [4096]byte
	out    Answer
}

type rawConn struct {
	fd     int32
	have   []byte // the opening handshake so far
	open   bool
	joined bool
	rest   []byte // what a full socket did not take
}

// Run is a process that sends. It answers a Job and then each order, until its input ends.
func Run(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	machine.RaiseDescriptors()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var j Job
	if err := dec.Decode(&j); err != nil {
		return fmt.Errorf("cannot read the job: %w", err)
	}
	r, err := newRawsend(j)
	if err != nil {
		return enc.Encode(Answer{Err: err.Error()})
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return enc.Encode(Answer{Err: err.Error()})
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			metrics.WriteProcessMetrics(w) // the same code as the gateway's
		})}
	go func() { _ = srv.Serve(admin) }() // ends with Close
	defer func() { _ = srv.Close() }()
	r.out.Admin = "http://" + admin.Addr().String()
	if err := enc.Encode(r.out); err != nil {
		return err
	}
	orders := job.Orders[job.Order](dec, func() {}, func() {})
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				return nil
			}
			r.run(o.Timing, o.Total)
			if err := enc.Encode(r.out); err != nil {
				return err
			}
		default:
			r.turn(10)
		}
	}
}

func newRawsend(j Job) (*rawsend, error) {
	shape, err := job.NewValueShape(j.Size, j.Fields)
	if err != nil {
		return nil, err
	}
	r := &rawsend{job: j, shape: shape, clock: machine.NewClock(), conns: map[int32]*rawConn{},
		events: make([]unix.EpollEvent, 1024)}
	if r.listen, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.Bind(r.listen, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("cannot bind: %w", err)
	}
	if err := unix.Listen(r.listen, 4096); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	at, err := unix.Getsockname(r.listen)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the port: %w", err)
	}
	r.out.Addr = "127.0.0.1:" + strconv.Itoa(at.(*unix.SockaddrInet4).Port)
	if r.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make an epoll set: %w", err)
	}
	return r, r.watch(int32(r.listen))
}

func (r *rawsend) watch(fd int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd}
	if err := unix.EpollCtl(r.ep, unix.EPOLL_CTL_ADD, int(fd), &ev); err != nil {
		return fmt.Errorf("cannot watch a socket: %w", err)
	}
	return nil
}

func (r *rawsend) turn(atMostMS int) {
	n, err := unix.EpollWait(r.ep, r.events, atMostMS)
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic("BUG: cannot poll: " + err.Error())
	}
	for _, ev := range r.events[:max(n, 0)] {
		if ev.Fd == int32(r.listen) {
			r.accept()
		} else if c := r.conns[ev.Fd]; c != nil {
			r.receive(c)
		}
	}
}

func (r *rawsend) accept() {
	for {
		fd, _, err := unix.Accept4(r.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // at worst slower
		c := &rawConn{fd: int32(fd)}
		r.conns[c.fd] = c
		if r.watch(c.fd) != nil {
			r.drop(c)
		}
	}
}

// receive answers the opening handshake, and then a client's first message, its `authenticate`.
func (r *rawsend) receive(c *rawConn) {
	n, err := unix.Read(int(c.fd), r.in[:])
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if err != nil || n == 0 {
		r.drop(c)
		return
	}
	switch {
	case !c.open:
		c.have = append(c.have, r.in[:n]...)
		key, ok := proto.RequestKey(c.have)
		if !ok {
			return
		}
		c.open, c.have = true, nil
		r.send(c, proto.AppendServerFrame(proto.AppendAccept(nil, key), proto.OpText,
			[]byte(`{"jsonrpc":"2.0","method":"authenticated","params":{}}`)))
	case !c.joined:
		c.joined = true
		r.ready = append(r.ready, c)
		r.send(c, proto.AppendServerFrame(nil, proto.OpText,
			[]byte(`{"jsonrpc":"2.0","method":"auto_subscribed","params":{}}`)))
	}
}

func (r *rawsend) drop(c *rawConn) {
	_ = unix.Close(int(c.fd)) // the other end has closed
	delete(r.conns, c.fd)
	c.joined = false
}

// run sends total messages, each batch when its last message is due, and late ones at
// once. If it cannot keep up, it stops at the end of the window.
func (r *rawsend) run(p job.Timing, total int64) {
	p.Schedule.Prepare()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // on failure timers stay 50 µs late
	r.out.Total, r.out.Dropped, r.out.Short = 0, 0, 0
	var value, frames []byte
	for r.out.Total < total {
		last := min(r.out.Total+int64(max(r.job.Batch, 1)), total)
		due := p.Schedule.Due(last-1) - p.Anchor
		for now := r.clock.Now(); now < due; now = r.clock.Now() {
			r.turn(0)
			machine.SleepUntil(min(due, now+1e8))
		}
		if r.clock.Now() > p.To-p.Anchor && due < p.To-p.Anchor-int64(time.Second) {
			return // more than a second behind at the end of the window
		}
		frames = frames[:0]
		for n := r.out.Total; n < last; n++ {
			value = r.shape.Make(value[:0], p.Schedule.Due(n), n)
			frames = r.frame(frames, value, n)
		}
		for _, c := range r.ready {
			if c.joined { // the descriptor may be another client's by now
				r.send(c, frames)
			}
		}
		r.out.Total = last
	}
}

// frame builds a message's frame. Unless the job is bare, its envelope is as long as a gateway's.
func (r *rawsend) frame(dst, value []byte, n int64) []byte {
	if r.job.Bare {
		return proto.AppendServerFrame(dst, proto.OpText, value)
	}
	b := make([]byte, 0, 256+len(value))
	b = append(b, `{"room":"`+r.job.Room+`","type":"price_update","pos":"0:`...)
	b = strconv.AppendInt(b, n, 10)
	if n > 0 {
		b = append(b, `","prev":"0:`...)
		b = strconv.AppendInt(b, n-1, 10)
	}
	b = append(b, `","ts":`...)
	b = strconv.AppendInt(b, time.Now().UnixMilli(), 10)
	b = append(append(append(b, `,"data":`...), value...), '}')
	return proto.AppendServerFrame(dst, proto.OpText, b)
}

// send makes one non-blocking send. What a full socket does not take goes before the next
// batch. A socket that takes nothing misses this batch.
func (r *rawsend) send(c *rawConn, b []byte) {
	if c.rest != nil {
		n, errno := rawSend(c.fd, c.rest)
		if errno != 0 || n < len(c.rest) {
			c.rest = c.rest[max(n, 0):]
			r.out.Dropped++
			return
		}
		c.rest = nil
	}
	n, errno := rawSend(c.fd, b)
	switch {
	case errno == 0 && n == len(b):
	case errno == 0:
		r.out.Short++
		c.rest = append([]byte(nil), b[n:]...)
	default:
		r.out.Dropped++
	}
}

func rawSend(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
