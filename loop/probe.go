package loop

import (
	"fmt"
	"sync"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// probe is the session of a connection that is none: it tells that its poller runs.
type probe struct {
	once sync.Once // a poller may be told of the same byte again
	seen chan struct{}
}

// awaitPollers waits until every poller has read something. nbio's pollers
// begin by forgetting that they were stopped, so an engine must not be stopped
// before they run.
func (e *Engine) awaitPollers() error {
	running := map[int]bool{}
	for len(running) < e.cfg.Pollers {
		fd, err := e.probePoller()
		if err != nil {
			return fmt.Errorf("cannot see whether the pollers run: %w", err)
		}
		running[fd%e.cfg.Pollers] = true // as nbio spreads them
	}
	return nil
}

// probePoller has the poller of the next free descriptor read a byte.
func (e *Engine) probePoller() (fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pair[1])
	nb, err := nbio.NBConn(bare{fd: pair[0]})
	if err != nil {
		unix.Close(pair[0])
		return 0, err
	}
	fd = nb.Hash()
	defer unix.Close(fd)
	defer nb.Close()
	p := &probe{seen: make(chan struct{})}
	nb.SetSession(p)
	e.accepted.Add(0) // after which onRead may see p
	if _, err := e.nb.AddConn(nb); err != nil {
		return 0, err
	}
	if _, err := unix.Write(pair[1], []byte{0}); err != nil {
		return 0, err
	}
	<-p.seen
	return fd, nil
}
