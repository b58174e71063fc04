package tlsconn

import (
	"crypto/tls"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/loop/crowd"
	"tapecast/rooms/heartbeat"
)

// giveWay is the longest that a handshake waits for passes to end, or half of what it may
// take in all where that is less. A client that connects does not
// notice a fifth of a second; the members of a room would, with every message.
const giveWay = 200 * time.Millisecond

// Config says how handshakes are run.
type Config struct {
	TLS     *tls.Config
	AtOnce  int           // how many compute at a time
	Waiting int           // how many may wait for their clients
	Timeout time.Duration // what a handshake may take in all; the owner ends those that take longer
}

// Handshakes runs the handshakes, so many at a time: addresses in turn, and those of an
// address in the order in which they were asked for. One costs as much as fifty sends, and
// the client as much again: a pass that shares its processors with them takes two and three
// times as long (bench/RESULTS.md). So
// while passes take half of the machine's processors (the kernel, pollers and appenders
// want the others), none is begun that has not waited for its patience. The owner's
// deadline for the upgrade ends those that take too long, and those that wait.
//
// A handshake that waits for its client keeps its goroutine, since crypto/tls cannot leave
// it half done, but no place: that is for those that compute.
type Handshakes struct {
	cfg      Config
	half     int32 // of the machine's processors
	patience time.Duration
	passing  atomic.Int32 // loops

	mu      sync.Mutex
	heartbeat    heartbeat.Beat // of all workers; see Heartbeat
	running int            // handshakes that compute
	queue   lines
	parked  crowd.Crowd[*Conn] // handshakes that wait for their clients
	back    []chan struct{}    // of those whose client has answered, and that wait for a place
	waking  bool               // for the first of the queue

	done, failed, resumed atomic.Uint64
}

// NewHandshakes returns workers that have nothing to do yet.
func NewHandshakes(cfg Config) *Handshakes {
	g := &Handshakes{cfg: cfg, half: int32(max(1, runtime.GOMAXPROCS(0)/2)), patience: min(giveWay, cfg.Timeout/2)}
	g.heartbeat.Name = "TLS worker"
	return g
}

// Heartbeat is that of all workers. A turn of it ends when one of them begins, ends or
// waits for its client: 256 that share a processor take long for each handshake, and yet get
// on.
func (g *Handshakes) Heartbeat() *heartbeat.Beat { return &g.heartbeat }

// Passing is how many loops pass.
func (g *Handshakes) Passing() int32 { return g.passing.Load() }

// Stand has a worker stand for d. It is for tests of what watches the beat.
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

// Passes is told by a loop that it begins to pass (1), or no more room needs one (-1).
func (g *Handshakes) Passes(by int32) {
	if g.passing.Add(by) < g.half && by < 0 {
		g.mu.Lock()
		g.start()
		g.mu.Unlock()
	}
}

// start gives those that may go on a place each. Those that have begun go first: what they
// still cost is little, and what they have cost is lost if they are late. mu is held.
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

// next takes the connection whose turn it is; nil: none waits, or all have to give way.
// mu is held.
func (g *Handshakes) next() *Conn {
	if g.passing.Load() < g.half {
		return g.queue.take(time.Time{})
	}
	if g.waking {
		return nil // none has waited for long enough before that
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

// computes counts a handshake that computes from now on (1), or no longer (-1); 0: one of
// them has come a step further. mu is held.
func (g *Handshakes) computes(by int) {
	if g.running += by; g.running > 0 {
		g.heartbeat.Begin()
	} else {
		g.heartbeat.End()
	}
}

// step says that a handshake that computes has come a step further.
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

// park gives the place of a handshake to another while it waits for its client. Where too
// many wait, the oldest of the address that has the most is dropped.
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

// unpark waits for a place again. A connection that is over takes none: all that is left
// is to fail.
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

// Stats are the figures of the handshakes.
type Stats struct {
	Handshakes uint64 // completed
	Failed     uint64
	Resumed    uint64 // of those completed, that resumed a session
	Running    int64  // that compute
	Waiting    int64  // for a place, or for passes to end
	Parked     int64  // that wait for their clients
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
