package worker

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
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
