package worker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
)

// stamper reads from a loop's sockets, with the kernel's time of the last byte (SO_TIMESTAMPNS).
type stamper struct {
	msg  unix.Msghdr
	iov  unix.Iovec
	oob  [64]byte
	pair [2]int // a connection to this process itself, see wakeKernel
}

func newStamper() (*stamper, error) {
	s := &stamper{pair: [2]int{-1, -1}}
	if err := s.wakeKernel(); err != nil {
		s.close()
		return nil, fmt.Errorf("cannot get receive times from the kernel: %w", err)
	}
	return s, nil
}

func (s *stamper) close() {
	for _, fd := range s.pair {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// wakeKernel waits until the kernel takes receive times. It starts some time after the
// first socket has asked, and goes on while a socket that asked is open.
func (s *stamper) wakeKernel() error {
	listen, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(listen) }()
	if err := unix.Bind(listen, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(listen, 1); err != nil {
		return err
	}
	at, err := unix.Getsockname(listen)
	if err != nil {
		return err
	}
	if s.pair[0], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := askForStamps(s.pair[0]); err != nil {
		return err
	}
	if err := unix.Connect(s.pair[0], at); err != nil {
		return err
	}
	if s.pair[1], _, err = unix.Accept4(listen, unix.SOCK_CLOEXEC); err != nil {
		return err
	}
	b := []byte{0}
	for range 10_000 {
		if _, err := unix.Write(s.pair[1], b); err != nil {
			return err
		}
		_, stamp, errno := s.read(s.pair[0], b)
		if errno != 0 {
			return errno
		}
		if stamp != 0 {
			return nil
		}
		time.Sleep(time.Millisecond) // nothing signals that the kernel is ready
	}
	return errors.New("a byte that was sent ten seconds after asking had no receive time")
}

func askForStamps(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// read reads into b. stamp is in ns since 1970, or 0 if the kernel gave none.
func (s *stamper) read(fd int, b []byte) (n int, stamp int64, errno unix.Errno) {
	s.iov.Base = &b[0]
	s.iov.SetLen(len(b))
	s.msg.Iov = &s.iov
	s.msg.SetIovlen(1)
	s.msg.Control = &s.oob[0]
	s.msg.SetControllen(len(s.oob))
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msg)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(r), s.stamp(), 0
}

func (s *stamper) stamp() int64 {
	if int(s.msg.Controllen) < unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.oob[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
		return 0
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&s.oob[unix.CmsgLen(0)]))
	return ts.Nano()
}

// arrivals records when each message of a run reached each client's socket, by the
// kernel's clock. The order in which epoll reports sockets is not the order in which the
// gateway sent to them. It belongs to one loop.
type arrivals struct {
	clients int
	at      []int64 // by message and client, ns since 1970; 0: has not arrived
}

func newArrivals(clients int, messages int64) *arrivals {
	return &arrivals{clients: clients, at: make([]int64, int64(clients)*messages)}
}

func (a *arrivals) put(client int, n, stamp int64) {
	if i := n*int64(a.clients) + int64(client); i < int64(len(a.at)) {
		a.at[i] = stamp
	}
}

// places evaluates the messages from number warm on.
func (a *arrivals) places(warm int64) *job.Places {
	p := &job.Places{First: make([]int64, a.clients), Last: make([]int64, a.clients), Mean: make([]float64, a.clients),
		Spread: job.NewHist()}
	if a.clients < 2 {
		return p
	}
	order := make([]int, a.clients) // clients, the first to get a message first
	var before int64                // when the last client had the previous message
	for n := int64(0); n < int64(len(a.at)/a.clients); n++ {
		row := a.at[n*int64(a.clients) : (n+1)*int64(a.clients)]
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int { return cmp.Compare(row[x], row[y]) })
		first, last := order[0], order[len(order)-1]
		if row[first] == 0 {
			continue // a client lacks it; the loss is reported elsewhere
		}
		overlaps := row[first] <= before
		before = max(before, row[last])
		if n < warm {
			continue
		}
		if overlaps {
			p.Overlapping++
			continue
		}
		p.Messages++
		p.First[first]++
		p.Last[last]++
		p.Spread.Record(row[last] - row[first])
		for rank, i := range order {
			p.Mean[i] += float64(rank) / float64(len(order)-1)
		}
	}
	for i := range p.Mean {
		p.Mean[i] /= float64(max(p.Messages, 1))
	}
	return p
}
