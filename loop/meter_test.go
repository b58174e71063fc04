package loop

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
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
		PingEvery:      time.Hour, // what comes is of rooms
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
// of a gap, or closed. It gets or is told of each message.
func TestMeteredLags(t *testing.T) {
	const rate, frames = 16 << 10, 1000
	pad := strings.Repeat("x", 9000)
	f := func(room string, class rooms.Class) {
		t.Helper()
		class.RetainAge, class.RetainBytes, class.ConflateBytes = time.Minute, 128<<10, 32<<10
		w, now, waits := metered(t, rate, &class)
		c, begun := w.talk(room), time.Now()
		c.write(1, "auth")
		c.ask("here", "here")
		for i := range frames {
			w.publishKey("k", fmt.Sprintf(`{"i":%d,"pad":%q}`, i, pad), room)
		}
		w.await(func() bool { return waits.Load() > 0 && w.tailOf(room) > frames/2 })
		now.Store(1 << 40)
		w.engine.Measure(time.Minute)
		most := int((1+time.Since(begun).Seconds())*rate/9000) + 1
		n := c.lags(t, room, frames)
		if n > most+1 { // of a conflated room the last one comes beyond the limit
			t.Errorf("%s: %d messages came beyond the limit, at most %d may", room, n, most)
		}
		over := func() int { return int(w.engine.Stats().Conflated) }
		if class.Conflate && !testwait.Holds(testwait.Patience, func() bool { return over() == frames-n }) {
			t.Errorf("%s: %d messages came of %d, and %d are counted as superseded", room, n, frames, over())
		}
	}
	f("last", rooms.Class{Name: "market", Conflate: true, Snapshot: true})
	f("all", rooms.Class{Name: "stream"})
	f("own:me", rooms.Class{Name: "private", Owner: "{sub}", Lag: rooms.LagClose})
}

// tailOf returns the number of the oldest frame that the room keeps. If nobody is in the room, it is the
// largest one that there is.
func (w *world) tailOf(room string) uint64 {
	var tail atomic.Uint64
	tail.Store(math.MaxUint64)
	w.engine.Each(func(c *Conn) {
		if k := c.find(room); k >= 0 {
			tail.Store(c.members[k].Room().Tail())
		}
	}, testwait.Patience)
	return tail.Load()
}

// lags reads until the client has or was told of that many messages, or is closed. It returns how many came
// before the first gap.
func (c *client) lags(t *testing.T, room string, frames int) (n int) {
	t.Helper()
	next, gap := 0, false
	for next < frames {
		op, text := c.read()
		_, data, _ := strings.Cut(text, `"data":{`)
		_, to, _ := strings.Cut(text, `"to":{"epoch":"e1",`)
		var i int
		switch {
		case op == 8:
			if room != "own:me" || text != "\x10\x70own:me" {
				t.Errorf("%s: closed with %q", room, text)
			}
			return n
		case scan(data, `"i":%d`, &i):
			if i != next && (room != "last" || i < next) {
				t.Fatalf("%s: message %d came after %d, and no gap", room, i, next-1)
			}
			if next = i + 1; !gap {
				n++
			}
		case scan(to, `"0":%d`, &i) && room == "all" && i >= next:
			gap, next = true, i+1
		case room == "last" && strings.HasPrefix(text, `{"jsonrpc":"2.0","method":"conflated"`):
		default:
			t.Fatalf("%s: after message %d came %.100s", room, next-1, text)
		}
	}
	if room == "own:me" || room == "all" && !gap {
		t.Errorf("%s: it did not lag", room)
	}
	return n
}

func scan(text, format string, into *int) bool {
	n, _ := fmt.Sscanf(text, format, into)
	return n == 1
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

// TestMeteredNeighbours: two busy rooms get the same share, wherever they are among many quiet ones.
func TestMeteredNeighbours(t *testing.T) {
	const frames, some = 200, 60
	w, now, waits := metered(t, 256<<10)
	c := w.talk()
	c.write(1, "auth")
	c.ask("join wild:0", "join ")
	c.ask("join wild:1", "join ") // next to the other
	var quiet []string
	for i := range 60 {
		quiet = append(quiet, fmt.Sprint("wild:", i+2))
	}
	c.ask("join "+strings.Join(quiet, ","), "join ")
	pad := strings.Repeat("x", 9000)
	for range frames {
		w.publish(`"`+pad+`"`, "wild:0", "wild:1")
	}
	w.await(func() bool { return waits.Load() > 0 })
	came := map[string]int{}
	for range some {
		_, text := c.read()
		room, _, _ := strings.Cut(strings.TrimPrefix(text, `{"room":"`), `"`)
		came[room]++
	}
	if a, b := came["wild:0"], came["wild:1"]; min(a, b) < some/4 {
		t.Errorf("%d messages came of one room, and %d of the other", a, b)
	}
	now.Store(0)
	w.engine.Measure(time.Minute)
}

// TestMeteredPings: a connection whose rooms wait for long, because of one long message, is pinged and
// answered meanwhile.
func TestMeteredPings(t *testing.T) {
	var now atomic.Int64
	now.Store(1 << 10)
	w := newWorld(t, Config{BytesPerSecond: func(*Conn) int64 { return now.Load() }, PingEvery: tickLen})
	c := w.talk("all")
	c.write(1, "auth")
	c.ask("here", "here")
	w.publish(`"`+strings.Repeat("x", 1<<20)+`"`, "all") // is paid for after 17 minutes
	w.publish("1", "all")
	long := false
	for pings := 0; pings < 3; {
		op, text := c.read()
		if long = long || len(text) > 1<<20; op == ws.OpPing && long {
			pings++
		}
		if strings.HasSuffix(text, `"data":1}`) {
			t.Fatal("the next message did not wait")
		}
	}
	c.write(1, "still here")
	for text := ""; text != "still here"; {
		_, text = c.read()
	}
	now.Store(0)
	w.engine.Measure(testwait.Patience)
	for text := ""; !strings.HasSuffix(text, `"data":1}`); {
		_, text = c.read()
	}
}
