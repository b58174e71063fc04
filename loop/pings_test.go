package loop

import (
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"tapecast/loop/netpoll"
)

// pinged is a loop that does not run, whose time is the test's, with one connection that is
// pinged every second and may be silent for 12.
type pinged struct {
	l    *Loop
	c    *Conn
	peer int
	deaf bool // no poller reads what the peer sends
}

func newPinged(t *testing.T) *pinged {
	t.Helper()
	e, err := New(Config{Handler: echo{}, PingEvery: time.Second, PongTimeout: 12 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	l := e.loops[0]
	t.Cleanup(l.release)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	p := &pinged{l: l,
		c: &Conn{loop: l, id: 1, sock: netpoll.SocketOf(pair[0]), state: stOpen, slot: -1}, peer: pair[1]}
	l.life.authenticated(p.c, false)
	return p
}

// turn has the loop see that so much time has passed, and the poller read.
func (p *pinged) turn(d time.Duration) {
	p.l.engine.start = p.l.engine.start.Add(-d)
	p.l.timers.turn()
	p.l.owed.serve(p.l)
	if p.deaf {
		return
	}
	var b [1 << 10]byte
	if n, _ := p.c.sock.Read(b[:]); n > 0 {
		p.c.heard.Store(uint32(p.l.engine.tick()))
	}
}

// pass is time in which everybody runs. The peer answers pings, or does not.
func (p *pinged) pass(d time.Duration, answers bool) {
	for ; d > 0; d -= tickLen {
		p.turn(tickLen)
		var b [1 << 10]byte
		if n, _ := unix.Read(p.peer, b[:]); n > 0 && answers {
			unix.Write(p.peer, ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(nil))))
		}
	}
}

func (p *pinged) cut() bool { return p.c.state == stGone }

// TestSilence: a client is silent that does not answer a ping for as long as this loop was
// there to hear it.
func TestSilence(t *testing.T) {
	p := newPinged(t)
	p.pass(30*time.Second, true)
	if p.cut() {
		t.Fatal("a client that answers was cut")
	}
	p.pass(11*time.Second, false)
	if p.cut() {
		t.Fatal("cut before its time")
	}
	p.pass(3*time.Second, false)
	if !p.cut() || p.l.stats.PongTimeouts != 1 {
		t.Error("a silent client was not cut")
	}
}

// TestSilenceWhileStopped: the time in which the process or the machine stood is not the
// client's silence, whatever was under way when it began.
func TestSilenceWhileStopped(t *testing.T) {
	for unanswered := range 10 { // seconds
		p := newPinged(t)
		p.pass(5*time.Second, true)
		p.pass(time.Duration(unanswered)*time.Second, false)
		p.turn(14 * time.Second)
		if p.cut() {
			t.Fatalf("cut at once, after a stop of 14 s that began %d s after the last answer", unanswered)
		}
		p.pass(30*time.Second, true)
		if p.cut() {
			t.Fatal("a client that answers was cut after a stop")
		}
		p.turn(14 * time.Second)
		p.pass(11*time.Second, false)
		if p.cut() {
			t.Fatal("cut less than its time after a stop")
		}
		p.pass(3*time.Second, false)
		if !p.cut() {
			t.Fatal("a client that is silent since a stop was not cut")
		}
	}
}

// TestSilenceUnread: what the kernel has and no poller has read is an answer.
func TestSilenceUnread(t *testing.T) {
	p := newPinged(t)
	p.deaf = true
	p.pass(time.Minute, true)
	if p.cut() {
		t.Error("a client was cut whose answers nobody has read")
	}
}
