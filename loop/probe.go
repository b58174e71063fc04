package loop

import (
	"fmt"
	"sync"
	"time"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// probe is the session of a connection that is none: it tells that its poller runs.
type probe struct {
	once sync.Once // a poller may be told of the same byte again
	seen chan struct{}
	rest time.Duration // for which the poller then stands: see StandPoller
}

// awaitPollers waits until every poller has read something. nbio's pollers
// begin by forgetting that they were stopped, so an engine must not be stopped
// before they run.
//
// nbio chooses the poller by the descriptor's number, and the kernel chooses
// that: those of earlier probes stay taken until all is done, and more with
// each probe that met a poller anew.
func (e *Engine) awaitPollers() error {
	var held []int
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	running := map[int]bool{}
	for again := 0; len(running) < e.cfg.Pollers; {
		fds, err := e.probePoller(0)
		held = append(held, fds...)
		if err != nil {
			return fmt.Errorf("cannot see whether the pollers run: %w", err)
		}
		if p := fds[0] % e.cfg.Pollers; !running[p] {
			running[p] = true
			continue
		}
		again++
		for range again {
			fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("cannot see whether the pollers run: %w", err)
			}
			held = append(held, fd)
		}
	}
	return nil
}

// probePoller has the poller of a new descriptor, the first it returns, read a
// byte. The descriptors that it returns are to be closed.
func (e *Engine) probePoller(rest time.Duration) (fds []int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	nb, err := nbio.NBConn(bare{fd: pair[0]})
	if err != nil {
		return pair[:], err
	}
	fds = []int{nb.Hash(), pair[1]}
	p := &probe{seen: make(chan struct{}), rest: rest}
	nb.SetSession(p)
	e.accepted.Add(0) // after which onRead may see p
	if _, err := e.nb.AddConn(nb); err != nil {
		return fds, err
	}
	defer nb.Close()
	if _, err := unix.Write(pair[1], []byte{0}); err != nil {
		return fds, err
	}
	<-p.seen
	return fds, nil
}
