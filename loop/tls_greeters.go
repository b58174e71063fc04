package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// giveWay is the longest that a handshake waits for passes to end, or half of what it may
// take in all where that is less. Who connects does not
// notice a fifth of a second; the members of a room would, with every message.
const giveWay = 200 * time.Millisecond

// greeters run the handshakes, so many at a time, in the order in which they were asked
// for. One costs as much as fifty sends, and the client as much again: a pass that shares
// its processors with them takes two and three times as long (bench/RESULTS.md). So
// while passes take half of the machine's processors (the kernel, pollers and appenders
// want the others), none is begun that has not waited for its patience. The loop's
// deadline for the upgrade ends those that take too long, and those that wait.
type greeters struct {
	most     int   // at a time
	half     int32 // of the machine's processors
	patience time.Duration
	passing  atomic.Int32 // loops

	mu      sync.Mutex
	running int
	queue   []waiting
	waking  bool // for the first of the queue

	done, failed, resumed atomic.Uint64
}

// waiting is a connection whose client has said hello.
type waiting struct {
	conn  *Conn
	since time.Time
}

func (g *greeters) init(cfg *Config) {
	g.most = cfg.TLSHandshakes
	g.half = int32(max(1, runtime.GOMAXPROCS(0)/2))
	g.patience = min(giveWay, cfg.HandshakeTimeout/2)
}

func (g *greeters) add(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, waiting{c, time.Now()})
	g.start()
}

// passes is told by a loop that it begins to pass (1), or no more room needs one (-1).
func (g *greeters) passes(by int32) {
	if g.passing.Add(by) < g.half && by < 0 {
		g.mu.Lock()
		g.start()
		g.mu.Unlock()
	}
}

// start gives those that may go on a worker each. mu is held.
func (g *greeters) start() {
	for g.running < g.most {
		c := g.next()
		if c == nil {
			return
		}
		g.running++
		go g.work(c)
	}
}

// next takes the connection that has waited longest; nil: none does, or it has to give
// way. mu is held.
func (g *greeters) next() *Conn {
	if len(g.queue) == 0 {
		g.queue = nil
		return nil
	}
	if g.passing.Load() >= g.half {
		if left := g.patience - time.Since(g.queue[0].since); left > 0 {
			g.wakeAfter(left)
			return nil
		}
	}
	c := g.queue[0].conn
	g.queue[0] = waiting{}
	g.queue = g.queue[1:]
	return c
}

func (g *greeters) wakeAfter(d time.Duration) {
	if g.waking {
		return
	}
	g.waking = true
	time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waking = false
		g.start()
	})
}

func (g *greeters) work(c *Conn) {
	for c != nil {
		if c.secure.take() {
			g.greet(c)
		}
		g.mu.Lock()
		if c = g.next(); c == nil {
			g.running--
		}
		g.mu.Unlock()
	}
}

// TLSStats are the figures of the handshakes.
type TLSStats struct {
	Handshakes uint64 // completed
	Failed     uint64
	Resumed    uint64 // of those completed, that resumed a session
	Running    int64
	Waiting    int64 // for a worker, or for passes to end
}

func (g *greeters) stats() TLSStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return TLSStats{
		Handshakes: g.done.Load(), Failed: g.failed.Load(), Resumed: g.resumed.Load(),
		Running: int64(g.running), Waiting: int64(len(g.queue)),
	}
}
