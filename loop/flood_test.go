package loop

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
	"golang.org/x/sys/unix"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
)

// floods are what a client can send that no request is: what opens it, and what is sent
// over and over.
var floods = []struct {
	name        string
	what        Pace
	first, then *clientFrames
	deflate     bool
}{
	{"empty pings", PaceControl, frames(), frames().ping(""), false},
	{"full pings", PaceControl, frames(), frames().ping(strings.Repeat("p", 125)), false},
	{"pongs", PaceControl, frames(), frames().add(0x8A, ""), false},
	{"full pongs", PaceControl, frames(), frames().add(0x8A, strings.Repeat("p", 125)), false},
	{"empty fragments", PaceFragments, frames().add(0x01, ""), frames().add(0x00, ""), false},
	{"tiny fragments", PaceFragments, frames().add(0x02, "x"), frames().add(0x00, "x"), false},
	{"empty messages in two", PaceFragments, frames(), frames().add(0x02, "").add(0x80, ""), false},
	{"bombs", PaceInflated, frames(), frames().add(0xC2, bomb(60_000)), true},
	{"bombs in two", PaceInflated, frames(), frames().add(0x42, bomb(60_000)).add(0x80, ""), true},
}

// bomb is n zeros, deflated.
func bomb(n int) string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	_, _ = w.Write(make([]byte, n))
	_ = w.Flush()
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

// TestFloods: a client that floods is closed with 1008 and counted by name, while another client
// and one that comes are served, by the same poller and the same loop.
func TestFloods(t *testing.T) {
	for _, secured := range []bool{false, true} {
		for _, f := range floods {
			t.Run(fmt.Sprintf("%s, TLS %v", f.name, secured), func(t *testing.T) {
				cfg := Config{}
				if secured {
					cfg.TLS = testTLS(t)
				}
				w := newTown(t, cfg)
				other := w.dial()
				var extra []string
				if f.deflate {
					extra = []string{"Sec-WebSocket-Extensions: permessage-deflate\r\n"}
				}
				flooder := w.dial(extra...)
				end := w.flood(flooder, f.first.b, f.then.b)
				other.echoes("while it floods")
				w.dial().echoes("a new one")
				if code := <-w.echo.closed; code != wire.ClosePolicy {
					t.Errorf("closed with %d", code)
				}
				if what := <-w.limited; what != f.what || len(w.limited) > 0 {
					t.Errorf("limited for %d, and %d times more", what, len(w.limited))
				}
				end()
				if n := w.engine.Stats().InboxMost; n > maxUnhandled+readLen/6 {
					t.Errorf("%d events waited in the inbox", n)
				}
			})
		}
	}
}

// flood sends first, and then again and again the other, until it is closed. What comes is
// read. The function it returns waits for the end.
func (w *town) flood(c *client, first, then []byte) (end func()) {
	block := bytes.Repeat(then, 1+64<<10/len(then))
	var all sync.WaitGroup
	all.Go(func() {
		c.conn.SetWriteDeadline(time.Now().Add(testwait.Patience))
		_, err := c.conn.Write(first)
		for err == nil {
			_, err = c.conn.Write(block)
		}
	})
	all.Go(func() {
		c.conn.SetReadDeadline(time.Now().Add(testwait.Patience))
		_, _ = io.Copy(io.Discard, c.br) // a reset is as good an end as any
	})
	return all.Wait
}

// TestTurns: a client whose input has no end, but breaks no rule, is read a turn at a time:
// a client that comes after it does not wait until all of it is read.
func TestTurns(t *testing.T) {
	const piece, pieces = 1000, 2000
	standing, goOn := make(chan bool), make(chan bool)
	done := make(chan int, 1)
	before := 0
	w := newTown(t, Config{}, func(c *Conn, p []byte) {
		switch string(p[:1]) {
		case "s":
			close(standing)
			<-goOn
		case "o":
			done <- before
		default: // takes its time, so that the kernel has more when it is done
			before++
			for began := time.Now(); time.Since(began) < 20*time.Microsecond; {
			}
		}
	})
	stand, greedy, other := w.dial(), w.dial(), w.dial()
	stand.write(ws.OpText, "stand")
	<-standing
	var all sync.WaitGroup
	all.Go(func() {
		_, _ = greedy.conn.Write(bytes.Repeat(frames().text(strings.Repeat("x", piece)).b, pieces))
	})
	// The kernel has some of it once the poller would find it first.
	await(t, func() bool { return unread(t, w.engine, 2) >= 60<<10 })
	other.write(ws.OpText, "other")
	await(t, func() bool { return unread(t, w.engine, 3) > 0 })
	close(goOn)
	if n := <-done; n > 40 { // of the 64 KB that the kernel had
		t.Errorf("%d KB of another were read before", n*piece>>10)
	}
	all.Wait()
	await(t, func() bool { return w.engine.Stats().PutOff["turn"] > 0 })
}

// unread is how many bytes of the connection's input the kernel has.
func unread(t *testing.T, e *Engine, id uint64) (n int) {
	t.Helper()
	answer := make(chan int)
	e.loops[0].post(event{kind: evDo, arg: func(l *Loop) {
		got := 0
		for _, c := range l.life.conns {
			if c.id == id {
				c.sock.Control(func(fd int) { got = inQueue(fd) })
			}
		}
		answer <- got
	}})
	return <-answer
}

func await(t testing.TB, cond func() bool) {
	t.Helper()
	(&world{t: t}).await(cond)
}

// TestInboxBound: while the loop stands, a client's input is not read beyond the bound;
// when the loop goes on, nothing is lost.
func TestInboxBound(t *testing.T) {
	for _, secured := range []bool{false, true} {
		cfg := Config{}
		if secured {
			cfg.TLS = testTLS(t)
		}
		w := newTown(t, cfg)
		c, other := w.dial(), w.dial()
		c.echoes("hello")
		other.echoes("hello")
		goOn := w.standStill()
		const n, size = 1000, 1000
		var all sync.WaitGroup
		all.Go(func() {
			for i := range n {
				c.write(ws.OpText, fmt.Sprintf("%0*d", size, i))
			}
		})
		l := w.engine.loops[0]
		await(t, func() bool { return w.engine.Stats().PutOff["inbox"] > 0 })
		other.write(ws.OpText, "other") // is read all the same
		held := maxUnhandled + readLen/size + 1
		await(t, func() bool { now, _ := l.inbox.length(); return now >= held-readLen/size })
		if now, _ := l.inbox.length(); now > held+1 {
			t.Errorf("%d events wait in the inbox, the bound is %d", now, held)
		}
		goOn()
		if _, got := other.read(); got != "other" {
			t.Errorf("the other got %q", got)
		}
		for i := range n {
			if _, got := c.read(); got != fmt.Sprintf("%0*d", size, i) {
				t.Fatalf("answer %d is %.50q", i, got)
			}
		}
		all.Wait()
	}
}

// standStill has the loop stand until goOn is called.
func (w *town) standStill() (goOn func()) {
	standing, going := make(chan bool), make(chan bool)
	w.engine.loops[0].post(event{kind: evDo, arg: func(*Loop) { close(standing); <-going }})
	<-standing
	goOn = sync.OnceFunc(func() { close(going) })
	w.t.Cleanup(goOn)
	return goOn
}

// TestPongsBound: pings that the loop has not seen are one event and 4 KB of pongs.
func TestPongsBound(t *testing.T) {
	w := newTown(t, Config{})
	c := w.dial()
	c.echoes("hello")
	goOn := w.standStill()
	b := frames()
	for i := range paceBurst - 10 {
		b.ping(fmt.Sprintf("%0125d", i))
	}
	b.text("end")
	if _, err := c.conn.Write(b.b); err != nil {
		t.Fatal(err)
	}
	l := w.engine.loops[0]
	await(t, func() bool { now, _ := l.inbox.length(); return now >= 2 })
	if now, _ := l.inbox.length(); now != 2 {
		t.Errorf("%d events wait, for pings and a message", now)
	}
	goOn()
	pongs, last := 0, ""
	for {
		op, got := c.read()
		if op != ws.OpPong {
			break
		}
		pongs, last = pongs+1, got
	}
	if pongs == 0 || pongs > maxPongs/127 || last != fmt.Sprintf("%0125d", paceBurst-11) {
		t.Errorf("%d pongs, the last %q", pongs, last)
	}
}

// TestOverPace: a client that is over the pace, not far over, is read a tick later and goes
// on; it may be closed meanwhile, and may end.
func TestOverPace(t *testing.T) {
	over := bytes.Repeat(frames().ping("").b, paceBurst+paceBurst/2)
	w := newTown(t, Config{})
	c := w.dial()
	c.conn.Write(over)
	c.write(ws.OpText, "still there")
	for {
		if op, got := c.read(); op == ws.OpText {
			if got != "still there" {
				t.Errorf("got %q", got)
			}
			break
		}
	}
	if n := w.engine.Stats().PutOff["pace"]; n == 0 || len(w.limited) > 0 {
		t.Errorf("put off %d times, limited %d times", n, len(w.limited))
	}

	// The end of one that is not read just now is seen.
	gone := w.dial()
	gone.conn.Write(over)
	await(t, func() bool { return w.engine.Stats().PutOff["pace"] > 1 })
	gone.conn.Close()
	if code := <-w.echo.closed; code != wire.CloseNone {
		t.Errorf("closed with %d", code)
	}
}

// inQueue is how many bytes of a socket's input were not read.
func inQueue(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return n
}
