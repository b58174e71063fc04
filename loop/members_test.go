package loop

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// talk is a client of a world that has been greeted.
func (w *world) talk(names ...string) *client {
	conn, br := w.dial(append([]string{"me"}, names...)...)
	w.t.Cleanup(func() { conn.Close() })
	c := &client{t: w.t, conn: conn, br: br}
	c.expect("hello me")
	c.expect("joined")
	return c
}

func (c *client) expect(prefix string) string {
	c.t.Helper()
	op, got := c.read()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %v %q, not %q", op, got, prefix)
	}
	return got
}

func (c *client) ask(text, prefix string) string {
	c.t.Helper()
	c.write(1, text)
	return c.expect(prefix)
}

func (c *client) expectClose(code int, reason string) {
	c.t.Helper()
	op, got := c.read()
	want := string([]byte{byte(code >> 8), byte(code)}) + reason
	if op != 8 || got != want {
		c.t.Fatalf("got %v %q, not a close with %q", op, got, want)
	}
}

func TestSeats(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish("1", "all")
	c := w.talk("all")
	f := func(say, want string) {
		t.Helper()
		c.write(1, say)
		if _, got := c.read(); got != want {
			t.Errorf("%q was answered by %q, not %q", say, got, want)
		}
	}
	at0 := `{"epoch":"e1","0":0}`
	f("join side", "join side"+at0)
	f("join side,all", "join side"+at0+" already all"+at0+" already")
	f("join own:a,own:a", "join own:a"+at0+" own:a"+at0+" already")
	f("list", "list all"+at0+" own:a"+at0+" side"+at0)
	f("leave side,nowhere", "leave side"+at0+" nowhere{} the connection is not in this room")
	f("join bare1,bare2", "join bare1"+at0+" bare2{} a connection may be in one room with bare frames only")
	f("join bare2", "join bare2{} a connection may be in one room with bare frames only")
	f("leave bare1", "leave bare1"+at0)
	f("join bare2", "join bare2"+at0)
	f("join few:a", "join few:a"+at0)
	f("join few:b", "join few:b{} the pattern already has max_rooms rooms")
	w.publish(`"x"`, "bare2")
	c.expect(`"x"`)
	f("leave bare2", `leave bare2{"epoch":"e1","0":1}`)
}

// TestSubscribeRaces has requests overtake each other if they can: a leave
// right behind its join, while the appender has yet to answer.
func TestSubscribeRaces(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.talk()
	for range 200 {
		for _, text := range []string{"join all,side", "leave all", "list", "join all", "leave all,side"} {
			c.write(1, text)
		}
		c.expect("join all")
		c.expect("leave all")
		if got := c.expect("list side"); strings.Contains(got, "all") {
			t.Fatalf("%q after all was left", got)
		}
		c.expect("join all")
		c.expect("leave all")
	}
	w.await(func() bool { return w.engine.Stats().Members == 0 })
	w.await(func() bool { return w.table.Stats().Listened == 0 })
}

// TestManyMembers has members come and go while a pass is under way; each gets
// every message between its join and its leave.
func TestManyMembers(t *testing.T) {
	w := newWorld(t, Config{Loops: 2})
	const members, messages = 200, 300
	var list []*client
	for range members {
		list = append(list, w.talk("all"))
	}
	w.await(func() bool { return w.engine.Stats().Members == members })
	go func() {
		for i := range messages {
			w.publish(fmt.Sprint(i), "all")
		}
	}()
	for k, c := range list {
		if k%4 == 0 {
			c.conn.Close()
		}
	}
	for k, c := range list {
		if k%4 == 0 {
			continue
		}
		for i := range messages {
			if got := c.expect(`{"room":"all"`); !strings.HasSuffix(got, fmt.Sprintf(`"data":%d}`, i)) {
				t.Fatalf("member %d got %q as message %d", k, got, i)
			}
		}
	}
	w.await(func() bool { return w.engine.Stats().Passes > 0 }) // or the test has shown nothing
}

// TestManyEvents: while a storm's thousands of events are handled, a message of a
// private room does not wait for the last of them.
func TestManyEvents(t *testing.T) {
	w := newWorld(t, Config{Loops: 1})
	c := w.talk("own:a")
	const events = 4000
	var handled atomic.Int64
	for range events {
		w.engine.loops[0].post(event{kind: evDo, arg: func(*Loop) {
			for began := time.Now(); time.Since(began) < 100*time.Microsecond; {
			}
			handled.Add(1)
		}})
	}
	w.publish("1", "own:a")
	c.expect(`{"room":"own:a"`)
	if handled.Load() == events {
		t.Error("the message came behind all events")
	}
	w.await(func() bool { return handled.Load() == events })
}

func TestLaggingPrivateMember(t *testing.T) {
	w := newWorld(t, Config{SendBuffer: 4 << 10},
		&rooms.Class{Name: "private", Owner: "{sub}", Lag: rooms.LagClose, RetainBytes: 64 << 10,
			RetainAge: time.Minute})
	c := w.talk("own:me")
	c.conn.(*net.TCPConn).SetReadBuffer(2 << 10)
	for i := range 1000 {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", 9000)), "own:me")
	}
	w.await(func() bool { return w.engine.Stats().Blocked == 1 })
	if s, _ := w.engine.Slowest(3, testwait.Patience); len(s) != 1 || s[0].Room != "own:me" || !s[0].Blocked {
		t.Errorf("the slowest are %+v", s)
	}
	for {
		op, got := c.read()
		if op == 8 {
			if got != "\x10\x70own:me" {
				t.Errorf("closed with %q", got)
			}
			break
		}
		if !strings.HasSuffix(got, `x"}}`) {
			t.Fatalf("a torn frame ends in %q", got[len(got)-20:])
		}
	}
	if code := <-w.closed; code != 4208 {
		t.Errorf("closed with %d", code)
	}
}
