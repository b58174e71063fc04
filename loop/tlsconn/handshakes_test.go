package tlsconn

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// nobody owns a connection that nobody uses.
type nobody struct {
	addr netip.Addr
	sent []byte
}

func (n *nobody) Send(b []byte) (int, error) { n.sent = append(n.sent, b...); return 0, nil }
func (n *nobody) Network() netip.Addr        { return n.addr }
func (n *nobody) Decrypt([]byte)             {}
func (n *nobody) Failed(error)               {}
func (n *nobody) Evict()                     {}
func (n *nobody) Gone()                      {}

// gone is a connection whose client has gone: a worker has nothing to do for it.
func gone() *Conn { return &Conn{owner: new(nobody), hello: &handshake{over: true}} }

// TestHandshakesGiveWay: while loops pass, handshakes wait for the end of a pass, or
// for as long as their patience goes.
func TestHandshakesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Handshakes{cfg: Config{AtOnce: 1}, half: 2, patience: giveWay}
		waiting := func(want int64, when string) {
			t.Helper()
			synctest.Wait()
			if s := g.Stats(); s.Waiting != want || s.Running != 0 {
				t.Errorf("%s: %d wait and %d run, want %d and none", when, s.Waiting, s.Running, want)
			}
		}
		add := func() { g.add(gone()) }

		g.Passes(1)
		add()
		waiting(0, "one loop passes, of two that would take half of the processors")
		g.Passes(1)
		add()
		testwait.Pass(giveWay / 2)
		add()
		waiting(2, "both pass")
		testwait.Pass(giveWay/2 - time.Nanosecond)
		waiting(2, "just before its patience is")
		testwait.Pass(time.Nanosecond)
		waiting(1, "the first has waited for long enough")
		testwait.Pass(giveWay / 2)
		waiting(0, "the other, too")
		add()
		add()
		g.Passes(-1)
		waiting(0, "a pass has ended")
		g.Passes(1)
		add()
		waiting(1, "both pass again")
		testwait.Pass(giveWay)
		waiting(0, "and for long")
		g.Passes(-2)
		add()
		waiting(0, "none passes")
	})
}

// TestHandshakesInOrder: the connection that came first is the first to be taken.
func TestHandshakesInOrder(t *testing.T) {
	g := &Handshakes{half: 1} // without workers
	first, second := gone(), gone()
	g.add(first)
	g.add(second)
	if a, b, c := g.next(), g.next(), g.next(); a != first || b != second || c != nil {
		t.Error("taken in another order")
	}
}

// TestPatience: a handshake waits for passes for half of what it may take in all, at most.
func TestPatience(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{10 * time.Second: giveWay, giveWay: giveWay / 2} {
		if g := NewHandshakes(Config{Timeout: timeout}); g.patience != want {
			t.Errorf("of %v a handshake waits %v, want %v", timeout, g.patience, want)
		}
	}
}

// TestLinesInTurn: addresses are served in turn, and each one's connections in order.
func TestLinesInTurn(t *testing.T) {
	var q lines
	now := time.Now()
	conn := func(address byte, since time.Duration) *Conn {
		c := &Conn{owner: &nobody{addr: netip.AddrFrom4([4]byte{10, 3: address})}}
		q.add(c, now.Add(since))
		return c
	}
	a1, a2, a3 := conn(1, 0), conn(1, 1), conn(1, 2)
	b1, b2 := conn(2, 3), conn(2, 4)
	f := func(before time.Duration, want *Conn) {
		t.Helper()
		at := time.Time{}
		if before >= 0 {
			at = now.Add(before)
		}
		if got := q.take(at); got != want {
			t.Errorf("took another: %p, want %p of %p %p %p, %p %p", got, want, a1, a2, a3, b1, b2)
		}
	}
	f(-1, a1)
	f(1, a2) // of b none has waited for long enough
	f(1, nil)
	if since, ok := q.oldest(); !ok || !since.Equal(now.Add(2)) {
		t.Errorf("the oldest came at %v, %v", since.Sub(now), ok)
	}
	f(-1, b1)
	f(-1, a3)
	f(-1, b2)
	f(-1, nil)
	if q.n != 0 || q.of != nil || q.ring != nil {
		t.Errorf("%+v is left", q)
	}
}

// TestAnsweredFirst: a handshake that goes on is served before one that begins.
func TestAnsweredFirst(t *testing.T) {
	g := &Handshakes{cfg: Config{AtOnce: 1, Waiting: 10}, half: 1, running: 1}
	fresh, under := gone(), gone()
	g.parked.Add(under, under.owner.Network())
	g.add(fresh)
	got := make(chan bool)
	go func() { g.unpark(under, false); got <- g.queue.n == 1; g.park(under) }()
	await(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.back) == 1
	})
	g.mu.Lock()
	g.running--
	g.start()
	g.mu.Unlock()
	if !<-got {
		t.Error("one that begins was served first")
	}
}
