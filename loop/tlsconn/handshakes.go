package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop/crowd"
	"tapecast/rooms/heartbeat"
)

// giveWay is the longest that a handshake waits for passes to end, or half of the time that it may
// take, if that is less. A client that connects does not notice a fifth of a second. The members of
// a room would, with every message.
const giveWay = 200 * time.Millisecond

// Config configures Handshakes.
type Config struct {
	TLS     *tls.Config
	AtOnce  int           // how many compute at a time
	Waiting int           // how many may wait for their clients
	Timeout time.Duration // of a handshake; the owner ends those that take longer
	// Ended is called after each handshake, on its worker, which it must not block: with the certificate
	// of the client (Conn.Certificate) and, if it failed, why. Nil: it is not called.
	Ended func(owner Owner, certificate *x509.Certificate, err error)
}

// Handshakes runs the handshakes, a bounded number at a time. Addresses are served in turn, and the
// handshakes of one address in order. A pass that shares its processors with them takes two to
// three times as long (bench/RESULTS.md). So while passes take half of the machine's processors
// (the kernel, pollers and appenders need the others), only a handshake that has waited for
// patience is begun. The owner's deadline for the upgrade ends those that take or wait too long.
type Handshakes struct {
	cfg      Config
	half     int32 // of the machine's processors
	patience time.Duration
	passing  atomic.Int32 // loops in a pass

	mu        sync.Mutex
	heartbeat heartbeat.Counter // of all workers; see Heartbeat
	running   int               // handshakes that compute
	queue     lines
	parked    crowd.Crowd[*Conn] // handshakes that wait for their clients
	back      []chan struct{}    // handshakes whose client has answered, and that wait to compute again
	waking    bool               // a timer runs for the first of the queue

	done, failed, resumed atomic.Uint64
}

// NewHandshakes returns workers without work.
func NewHandshakes(cfg Config) *Handshakes {
	g := &Handshakes{cfg: cfg, half: int32(max(1, runtime.GOMAXPROCS(0)/2)), patience: min(giveWay, cfg.Timeout/2)}
	g.heartbeat.Name = "TLS worker"
	return g
}

// Heartbeat returns the heartbeat of all workers. A turn ends when any worker begins, ends or waits
// for its client: 256 workers that share a processor take long for each handshake, and still make
// progress.
func (g *Handshakes) Heartbeat() *heartbeat.Counter { return &g.heartbeat }

// Passing returns how many loops are in a pass.
func (g *Handshakes) Passing() int32 { return g.passing.Load() }

// Stand makes a worker stand still for d. It is for tests of the watchdog.
func (g *Handshakes) Stand(d time.Duration) {
	work := func(by int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.computes(by)
	}
	work(1)
	time.AfterFunc(d, func() { work(-1) })
}

func (g *Handshakes) add(t *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue.add(t, time.Now())
	g.start()
}

// Passes is called by a loop that begins to pass (1), or that has no room left to pass (-1).
func (g *Handshakes) Passes(by int32) {
	if g.passing.Add(by) < g.half && by < 0 {
		g.mu.Lock()
		g.start()
		g.mu.Unlock()
	}
}

// start lets handshakes compute, as many as may. Those that have begun go first: they need little
// more, and are lost if they are late. mu is held.
func (g *Handshakes) start() {
	for g.running < g.cfg.AtOnce {
		if len(g.back) > 0 {
			close(g.back[0])
			g.back[0] = nil
			if g.back = g.back[1:]; len(g.back) == 0 {
				g.back = nil
			}
			g.computes(1)
			continue
		}
		t := g.next()
		if t == nil {
			return
		}
		g.computes(1)
		go g.work(t)
	}
}

// next returns the connection whose handshake is next, or nil if none waits or all must give way.
// mu is held.
func (g *Handshakes) next() *Conn {
	if g.passing.Load() < g.half {
		return g.queue.take(time.Time{})
	}
	if g.waking {
		return nil // none has waited long enough before that
	}
	now := time.Now()
	if t := g.queue.take(now.Add(-g.patience)); t != nil {
		return t
	}
	if first, ok := g.queue.oldest(); ok {
		g.wakeAfter(g.patience - now.Sub(first))
	}
	return nil
}

func (g *Handshakes) wakeAfter(d time.Duration) {
	g.waking = true
	time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waking = false
		g.start()
	})
}

// computes counts a handshake that computes from now on (1), or no longer (-1). With 0 it only
// notes progress. mu is held.
func (g *Handshakes) computes(by int) {
	if g.running += by; g.running > 0 {
		g.heartbeat.Begin()
	} else {
		g.heartbeat.End()
	}
}

// step notes that a handshake has made progress.
func (g *Handshakes) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.computes(0)
}

func (g *Handshakes) work(t *Conn) {
	for t != nil {
		if t.take() {
			g.shake(t)
		}
		g.mu.Lock()
		g.computes(-1)
		if len(g.back) > 0 || g.running >= g.cfg.AtOnce {
			t = nil
			g.start()
		} else if t = g.next(); t != nil {
			g.computes(1)
		}
		g.mu.Unlock()
	}
}

// park lets another handshake compute while this one waits for its client. If too many wait, the
// oldest of the address with the most is dropped.
func (g *Handshakes) park(t *Conn) {
	g.mu.Lock()
	g.parked.Add(t, t.owner.Network())
	var old *Conn
	if g.parked.Len() > g.cfg.Waiting {
		old, _ = g.parked.Greediest()
		g.parked.Remove(old)
	}
	g.computes(-1)
	g.start()
	g.mu.Unlock()
	if old != nil {
		old.owner.Evict()
	}
}

// unpark waits until the handshake may compute again. If the connection is over, it does not wait,
// since the handshake only has to fail.
func (g *Handshakes) unpark(t *Conn, over bool) {
	g.mu.Lock()
	g.parked.Remove(t)
	if over || g.running < g.cfg.AtOnce {
		g.computes(1)
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.back = append(g.back, turn)
	g.mu.Unlock()
	<-turn
}

// Stats holds the figures of the handshakes.
type Stats struct {
	Handshakes uint64 `metric:"tapecast_tls_handshakes_total"` // completed
	Failed     uint64 `metric:"tapecast_tls_failures_total"`
	Resumed    uint64 `metric:"tapecast_tls_resumed_total"`      // completed ones that resumed a session
	Running    int64  `metric:"tapecast_tls_handshakes_running"` // computing
	Waiting    int64  `metric:"tapecast_tls_handshakes_waiting"` // waiting to compute, or for passes to end
	Parked     int64  `metric:"tapecast_tls_handshakes_parked"`  // waiting for their clients
}

// Stats returns the figures.
func (g *Handshakes) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{
		Handshakes: g.done.Load(), Failed: g.failed.Load(), Resumed: g.resumed.Load(),
		Running: int64(g.running), Waiting: int64(g.queue.n + len(g.back)), Parked: int64(g.parked.Len()),
	}
}
