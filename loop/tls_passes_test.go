package loop

import (
	"runtime"
	"testing"
)

// TestTLSBesidePasses: where passes never end, clients get in all the same, and an
// upgrade's time is never all spent in waiting.
func TestTLSBesidePasses(t *testing.T) {
	w := newWorld(t, Config{TLS: testTLS(t)})
	w.engine.handshakes.Passes(int32(runtime.GOMAXPROCS(0))) // all of them
	w.talk("all")
	w.talk("all")
	if s := w.engine.Stats(); s.TLS.Handshakes != 2 || s.TLS.Waiting != 0 || s.HandshakeTimeouts != 0 {
		t.Errorf("%+v, %d too late", s.TLS, s.HandshakeTimeouts)
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
		members := l.life.conns[0].members
		before := w.engine.handshakes.Passing()
		l.grown(members[0].Sub())
		one := w.engine.handshakes.Passing()
		l.grown(members[1].Sub())
		told <- [3]int32{before, one, w.engine.handshakes.Passing()}
	}})
	if got := <-told; got != [3]int32{0, 1, 1} {
		t.Errorf("loops that pass, before, with one room and with two: %v", got)
	}
	w.await(func() bool { return w.engine.handshakes.Passing() == 0 })
	w.await(func() bool { return w.engine.Stats().Passes == 2 })
}
