package loop

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms"
)

// TestMeter: over any time a connection may be sent its rate, and a second's worth at once.
func TestMeter(t *testing.T) {
	f := func(rate, frame int, every time.Duration) {
		t.Helper()
		m, sent, waits := &meter{rate: int64(rate)}, 0, 0
		const during = 100 * time.Second
		var resting time.Duration
		for now := time.Hour; now < time.Hour+during; now += every {
			if now < resting {
				continue
			}
			if until, tired := m.tired(now); tired {
				if waits++; time.Duration(until)*tickLen <= now {
					t.Fatalf("%d a second: at %v it rests until %v", rate, now, time.Duration(until)*tickLen)
				}
				resting = time.Duration(until) * tickLen
				continue
			}
			for left := m.left(now); left > 0; left -= frame { // the last frame may be too long
				m.spend(frame, now)
				sent += frame
			}
		}
		most := rate*int((during+meterBurst)/time.Second) + frame
		if sent > most || sent < rate*90 || waits == 0 {
			t.Errorf("%d a second, in frames of %d: %d were sent, at most %d; it waited %d times", rate, frame, sent,
				most, waits)
		}
	}
	f(100_000, 128, time.Millisecond)
	f(100_000, 128, 70*time.Millisecond)
	f(1<<10, 200, time.Millisecond)
	f(1<<20, 250_000, time.Millisecond)
	f(1<<30, 1<<20, time.Millisecond)

	m := &meter{rate: 1000}
	m.spend(5000, time.Hour) // one long frame
	if m.left(time.Hour) != 0 || m.left(time.Hour+4*time.Second) != 0 || m.left(time.Hour+5*time.Second) != 1000 ||
		m.left(2*time.Hour) != 1000 {
		t.Errorf("after a frame of five seconds: %+v", m)
	}
}

// metered is a world whose connections may be sent that many bytes a second once they say auth, and how
// often one of them had to wait.
func metered(t *testing.T, rate int64, classes ...*rooms.Class) (w *world, now, waits *atomic.Int64) {
	now, waits = new(atomic.Int64), new(atomic.Int64)
	now.Store(rate)
	w = newWorld(t, Config{
		BytesPerSecond: func(*Conn) int64 { return now.Load() },
		Metered:        func(*Conn) { waits.Add(1) },
	}, classes...)
	return w, now, waits
}

// TestMetered: what a connection is sent of rooms has a limit, answers come meanwhile, and nothing is lost
// or out of order. Another limit holds at once.
func TestMetered(t *testing.T) {
	const rate, frames = 64 << 10, 60
	w, now, waits := metered(t, rate)
	free, c := w.talk("all"), w.talk("all")
	begun := time.Now()
	c.write(1, "auth")
	c.ask("here", "here")
	pad := strings.Repeat("x", 9000)
	for i := range frames {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, pad), "all")
	}
	for range frames {
		free.expect(`{"room":"all"`)
	}
	w.await(func() bool { return waits.Load() > 0 })
	c.write(1, "answer me")
	bytes, n := 0, 0
	for {
		_, text := c.read()
		if text == "answer me" {
			break
		}
		bytes += len(text)
		if !strings.Contains(text, fmt.Sprintf(`"data":{"i":%d,`, n)) {
			t.Fatalf("message %d is %.80s", n, text)
		}
		n++
	}
	if most := rate * (1 + time.Since(begun).Seconds()); float64(bytes) > most+9100 || n == 0 {
		t.Errorf("%d messages of %d bytes came, at most %.0f bytes may", n, bytes, most)
	}
	if late := w.engine.Lags(time.Minute); n < frames && len(late) > 0 {
		t.Errorf("what waits for its limit lags: %v", late)
	}
	now.Store(0)
	w.engine.Measure(time.Minute)
	for ; n < frames; n++ {
		c.expect(fmt.Sprintf(`{"room":"all","type":"t","pos":"0:%d"`, n))
	}
	now.Store(rate)
	w.engine.Measure(time.Minute)
	was := waits.Load()
	for range 20 {
		w.publish(`"`+pad+`"`, "all")
	}
	w.await(func() bool { return waits.Load() > was })
	c.write(1, "close now")
	for {
		if op, text := c.read(); op == 8 { // what rests is closed like any other
			if text[2:] != "now" {
				t.Errorf("closed with %q", text)
			}
			break
		}
	}
}

// TestMeteredLags: a member that lags because of the limit is treated as its class says: conflated, told
// of a gap, or closed.
func TestMeteredLags(t *testing.T) {
	const frames = 1000
	pad := strings.Repeat("x", 9000)
	f := func(room string, class rooms.Class, end func(op ws.OpCode, text string) bool) {
		t.Helper()
		class.RetainAge, class.RetainBytes, class.ConflateBytes = time.Minute, 128<<10, 32<<10
		w, now, waits := metered(t, 16<<10, &class)
		c := w.talk(room)
		c.write(1, "auth")
		c.ask("here", "here")
		for i := range frames {
			w.publishKey("k", fmt.Sprintf(`{"i":%d,"pad":%q}`, i, pad), room)
		}
		w.settle()
		w.await(func() bool { return waits.Load() > 0 })
		now.Store(1 << 40)
		w.engine.Measure(time.Minute)
		n, ended := 0, false
		for !ended {
			op, text := c.read()
			ended = end(op, text)
			n++
		}
		if n >= frames {
			t.Errorf("%s: %d messages came of %d", room, n, frames)
		}
	}
	last := fmt.Sprintf(`"data":{"i":%d,`, frames-1)
	f("last", rooms.Class{Name: "market", Conflate: true, Snapshot: true}, func(_ ws.OpCode, text string) bool {
		return strings.Contains(text, last)
	})
	gap := false
	f("all", rooms.Class{Name: "stream"}, func(_ ws.OpCode, text string) bool {
		gap = gap || strings.Contains(text, `"method":"gap"`)
		return gap && strings.Contains(text, last)
	})
	private := rooms.Class{Name: "private", Owner: "{sub}", Lag: rooms.LagClose}
	f("own:me", private, func(op ws.OpCode, text string) bool {
		return op == 8 && text == "\x10\x70own:me"
	})
}

// TestMeteredTurns: beyond the limit no room of a connection keeps another from being sent. A private room
// goes first.
func TestMeteredTurns(t *testing.T) {
	const frames = 100
	w, now, waits := metered(t, 64<<10)
	c := w.talk()
	c.write(1, "auth")
	quiet := []string{"side", "wild:a", "wild:b", "wild:c", "wild:d", "own:me"}
	c.ask("join wild:0,all,"+strings.Join(quiet, ","), "join ")
	pad := strings.Repeat("x", 9000)
	for i := range frames {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, pad), "all", "wild:0")
	}
	w.await(func() bool { return waits.Load() > 0 })
	for _, room := range quiet {
		w.publish("1", room)
	}
	var came []string
	for n := 0; len(came) < len(quiet); {
		_, text := c.read()
		room, _, _ := strings.Cut(strings.TrimPrefix(text, `{"room":"`), `"`)
		if room != "all" && room != "wild:0" {
			came = append(came, room)
		} else if n++; n == frames/2 {
			t.Fatalf("only %v came before half of a busy room", came)
		}
	}
	if came[0] != "own:me" {
		t.Errorf("the private room was not the first: %v", came)
	}
	now.Store(0)
	w.engine.Measure(time.Minute)
}
