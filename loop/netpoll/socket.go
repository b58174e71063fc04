package netpoll

import (
	"sync"
	"syscall"
	"unsafe"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// Socket is the descriptor of one connection, which its owner keeps as a field. The zero value has
// no descriptor. While the lock is held, the number belongs to this connection. The owner may guard
// a little more with the lock.
type Socket struct {
	nb     *nbio.Conn
	mu     sync.Mutex
	number int32 // the descriptor plus one; 0: none
	paused bool  // input is not reported until Resume
}

// SocketOf returns a socket that no poller watches. It is for tests.
func SocketOf(fd int) Socket { return Socket{number: int32(fd) + 1} }

// Lock takes the lock. While it is held, no other method may be called except Unlock.
func (s *Socket) Lock() { s.mu.Lock() }

// Unlock releases it.
func (s *Socket) Unlock() { s.mu.Unlock() }

func (s *Socket) open(nb *nbio.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nb, s.number = nb, int32(nb.Hash())+1 // of a Conn, the hash is its descriptor
}

// Close closes the descriptor. It returns false if there is none. Only the poller calls it: see the
// package doc. nbio forgets the number first, while it still belongs to this connection.
func (s *Socket) Close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		return false
	}
	if s.nb != nil {
		s.nb.Close()
		s.nb = nil
	}
	unix.Close(int(s.number) - 1)
	s.number = 0
	return true
}

// Control runs f with the descriptor, if there is one, under the lock.
func (s *Socket) Control(f func(fd int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number > 0 {
		f(int(s.number) - 1)
	}
}

// Read reads what there is. EAGAIN means nothing for now.
func (s *Socket) Read(buf []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		return 0, unix.EBADF
	}
	return unix.Read(int(s.number)-1, buf)
}

// Write sends without blocking and without telling the scheduler. A send takes about 10 µs, and a
// hand-off for each one made broadcasts a fifth dearer.
func (s *Socket) Write(iov []unix.Iovec) (n int, err error) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		return 0, unix.EPIPE
	}
	fd := uintptr(s.number) - 1
	var r uintptr
	var errno syscall.Errno
	if len(iov) == 1 {
		r, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(iov[0].Base)), uintptr(iov[0].Len), flags, 0, 0)
	} else {
		h := unix.Msghdr{Iov: &iov[0], Iovlen: uint64(len(iov))}
		r, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&h)), flags)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// ShutDown ends both directions. The poller then sees the end of the input, unless the socket is
// paused.
func (s *Socket) ShutDown() {
	s.Control(func(fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// HungUp reports whether the event under way may have reported that the peer is gone. That state
// does not pass: if the event reported it, the socket still does.
func (s *Socket) HungUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		return true
	}
	p := [1]unix.PollFd{{Fd: s.number - 1, Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// Again asks for the next event. It comes at once if there is input.
func (s *Socket) Again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rearm()
}

// Pause stops events until Resume.
func (s *Socket) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
}

// Resume ends a pause, if there is one. Code that ends a connection must call it too, since only a
// poller that gets an event closes the descriptor.
func (s *Socket) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		s.paused = false
		s.rearm()
	}
}

// rearm is Again with the lock held.
func (s *Socket) rearm() {
	if s.number > 0 && s.nb != nil {
		s.nb.ResetPollerEvent()
	}
}
