package loop

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/rooms/heartbeat"
)

// Beats are the heartbeats of the loops, the pollers, the acceptor and the workers of TLS
// handshakes. A poller's turn is one call of onRead. The acceptor's is one socket: it waits
// for clients, but not for pollers to close what was dropped. All workers have one, and a
// turn of it ends when one of them begins, ends or waits for its client: 256 that share a
// processor take long for each handshake, and yet get on.
func (e *Engine) Beats() []*heartbeat.Beat {
	out := make([]*heartbeat.Beat, 0, len(e.loops)+len(e.pollers)+2)
	out = append(out, &e.accepts, &e.greeters.beat)
	for _, l := range e.loops {
		out = append(out, &l.turns)
	}
	for i := range e.pollers {
		out = append(out, &e.pollers[i])
	}
	return out
}

func newPollerBeats(n int) []heartbeat.Beat {
	beats := make([]heartbeat.Beat, n)
	for i := range beats {
		beats[i].Name = fmt.Sprintf("poller %d", i)
	}
	return beats
}

// Stand has the first loop stand for d. It is for tests of what watches the beats.
func (e *Engine) Stand(d time.Duration) {
	e.loops[0].post(event{kind: evDo, arg: func(*Loop) { time.Sleep(d) }})
}

// StandAcceptor has the acceptor stand for d, and StandTLS a worker of TLS handshakes.
// They are for tests of what watches the beats.
func (e *Engine) StandAcceptor(d time.Duration) error {
	g := &e.gate
	g.mu.Lock()
	g.falling += maxFalling
	g.mu.Unlock()
	time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.falling -= maxFalling
		g.landed.Broadcast()
	})
	c, err := net.Dial("tcp", e.Addr().String()) // it sleeps until a client comes
	if err == nil {
		err = c.Close()
	}
	return err
}

// StandTLS is StandAcceptor's twin.
func (e *Engine) StandTLS(d time.Duration) {
	g := &e.greeters
	work := func(by int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.computes(by)
	}
	work(1)
	time.AfterFunc(d, func() { work(-1) })
}

// StandPoller has some poller stand for d. It is for tests of what watches the
// beats.
func (e *Engine) StandPoller(d time.Duration) error {
	fds, err := e.probePoller(d)
	for _, fd := range fds {
		unix.Close(fd)
	}
	return err
}
