package loop

import (
	"net"
	"time"

	"tapecast/rooms/heartbeat"
)

// Heartbeats returns the heartbeats of the loops, the pollers, the acceptor and the workers of TLS
// handshakes.
func (e *Engine) Heartbeats() []*heartbeat.Counter {
	out := append(e.net.Heartbeats(), e.handshakes.Heartbeat())
	for _, l := range e.loops {
		out = append(out, &l.turns)
	}
	return out
}

// Stand makes the first loop stand still for d. It is for tests of the watchdog.
func (e *Engine) Stand(d time.Duration) {
	e.loops[0].do(func(*Loop) { time.Sleep(d) })
}

// StandAcceptor makes the acceptor stand still for d. It is for tests of the watchdog.
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

// StandTLS makes a worker of TLS handshakes stand still for d. It is for tests of the watchdog.
func (e *Engine) StandTLS(d time.Duration) { e.handshakes.Stand(d) }

// StandPoller makes one poller stand still for d. It is for tests of the watchdog.
func (e *Engine) StandPoller(d time.Duration) error { return e.net.StandPoller(d) }
