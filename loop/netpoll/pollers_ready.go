package netpoll

import (
	"fmt"
	"sync"
	"time"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// readiness is the session of a descriptor that does not belong to a client. It shows that its
// poller runs.
type readiness struct {
	once sync.Once // a poller may be told of the same byte again
	seen chan struct{}
	rest time.Duration // how long the poller then stands still: see StandPoller
}

func (r *readiness) tell() {
	r.once.Do(func() {
		close(r.seen)
		time.Sleep(r.rest)
	})
}

// AwaitReady waits until the acceptor and every poller run. An engine must not be stopped before
// that: nbio's goroutines reset their stop flag when they begin.
//
// nbio chooses the poller by the descriptor's number, and the kernel chooses that number. So the
// descriptors of earlier attempts stay open until all pollers are found, and each attempt that met
// a known poller opens more.
func (e *Engine) AwaitReady() error {
	<-e.ln.asked
	var held []int
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	running := map[int]bool{}
	for again := 0; len(running) < e.cfg.Pollers; {
		fds, err := e.askPoller(0)
		held = append(held, fds...)
		if err != nil {
			return fmt.Errorf("cannot check whether the pollers run: %w", err)
		}
		if p := fds[0] % e.cfg.Pollers; !running[p] {
			running[p] = true
			continue
		}
		again++
		for range again {
			fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("cannot check whether the pollers run: %w", err)
			}
			held = append(held, fd)
		}
	}
	return nil
}

// StandPoller makes one poller stand still for d. It is for tests of the watchdog.
func (e *Engine) StandPoller(d time.Duration) error {
	fds, err := e.askPoller(d)
	for _, fd := range fds {
		unix.Close(fd)
	}
	return err
}

// askPoller makes a poller read a byte from a new descriptor, the first that it returns. The caller
// must close the descriptors.
func (e *Engine) askPoller(rest time.Duration) (fds []int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	nb, err := nbio.NBConn(bare{fd: pair[0]})
	if err != nil {
		return pair[:], err
	}
	fds = []int{nb.Hash(), pair[1]}
	r := &readiness{seen: make(chan struct{}), rest: rest}
	nb.SetSession(r)
	e.opened.Add(0) // after which onRead may see r
	if _, err := e.nb.AddConn(nb); err != nil {
		return fds, err
	}
	defer nb.Close()
	if _, err := unix.Write(pair[1], []byte{0}); err != nil {
		return fds, err
	}
	<-r.seen
	return fds, nil
}
