package loop

import (
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// TestHandshakesGiveWay: while loops pass, handshakes wait for the end of a pass, or
// for as long as their patience goes.
func TestHandshakesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &greeters{most: 1, half: 2, patience: giveWay}
		waiting := func(want int64, when string) {
			t.Helper()
			synctest.Wait()
			if s := g.stats(); s.Waiting != want || s.Running != 0 {
				t.Errorf("%s: %d wait and %d run, want %d and none", when, s.Waiting, s.Running, want)
			}
		}
		// The client has gone meanwhile: the worker has nothing to do for it.
		add := func() { g.add(&Conn{secure: &secure{hello: &greeting{over: true}}}) }

		g.passes(1)
		add()
		waiting(0, "one loop passes, of two that would take half of the processors")
		g.passes(1)
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
		g.passes(-1)
		waiting(0, "a pass has ended")
		g.passes(1)
		add()
		waiting(1, "both pass again")
		testwait.Pass(giveWay)
		waiting(0, "and for long")
		g.passes(-2)
		add()
		waiting(0, "none passes")
	})
}

// TestHandshakesInOrder: who came first is the first to be taken.
func TestHandshakesInOrder(t *testing.T) {
	g := &greeters{half: 1} // without workers
	first, second := new(Conn), new(Conn)
	g.add(first)
	g.add(second)
	if a, b, c := g.next(), g.next(), g.next(); a != first || b != second || c != nil {
		t.Error("taken in another order")
	}
}

// TestTLSBesidePasses: where passes never end, clients get in all the same, and an
// upgrade's time is never all spent in waiting.
func TestTLSBesidePasses(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t)})
	g := &w.engine.greeters
	g.passes(g.half)
	w.talk("all")
	w.talk("all")
	if s := w.engine.Stats(); s.TLS.Handshakes != 2 || s.TLS.Waiting != 0 || s.HandshakeTimeouts != 0 {
		t.Errorf("%+v, %d too late", s.TLS, s.HandshakeTimeouts)
	}
	for timeout, want := range map[time.Duration]time.Duration{10 * time.Second: giveWay, giveWay: giveWay / 2} {
		var g greeters
		if g.init(&Config{HandshakeTimeout: timeout}); g.patience != want {
			t.Errorf("of %v a handshake waits %v, want %v", timeout, g.patience, want)
		}
	}
}

// TestLoopsTellOfPasses: a loop counts as passing from the first room that needs a
// pass to the end of the last.
func TestLoopsTellOfPasses(t *testing.T) {
	w := newWorld(t, Config{Loops: 1})
	for range smallRoom + 1 {
		w.talk("all", "side")
	}
	told := make(chan [3]int32)
	w.engine.loops[0].post(event{kind: evDo, arg: func(l *Loop) {
		seats := l.conns[0].members
		before := w.engine.greeters.passing.Load()
		l.grown(seats[0].Sub())
		one := w.engine.greeters.passing.Load()
		l.grown(seats[1].Sub())
		told <- [3]int32{before, one, w.engine.greeters.passing.Load()}
	}})
	if got := <-told; got != [3]int32{0, 1, 1} {
		t.Errorf("loops that pass, before, with one room and with two: %v", got)
	}
	w.await(func() bool { return w.engine.greeters.passing.Load() == 0 })
	w.await(func() bool { return w.engine.Stats().Passes == 2 })
}
