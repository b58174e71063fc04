package loop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
)

// offsetIn is the offset of partition 0 in the first positions after mark; -1: there is none.
func offsetIn(text, mark string) int {
	_, rest, _ := strings.Cut(text, mark)
	if !strings.HasPrefix(rest, `{"epoch":"e1","0":`) {
		return -1
	}
	off, err := strconv.Atoi(rest[len(`{"epoch":"e1","0":`):strings.IndexByte(rest, '}')])
	if err != nil {
		return -1
	}
	return off
}

// TestWildcardPosition: a wildcard says, at its join, every while and when it is left, up to
// where all that match were sent, however busy they are: what a client lacks is beyond it.
func TestWildcardPosition(t *testing.T) {
	stream := &rooms.Class{Name: "stream", RetainBytes: 32 << 20, RetainAge: time.Minute}
	w := newWorld(t, Config{Wildcards: 8, RoomsPerWildcard: 4, PingEvery: 100 * time.Millisecond,
		SendBuffer: 4 << 10}, stream)
	w.publishKey("k", "0", "last:x") // 0
	w.settle()
	c := w.talk()
	at := func(off int) string { return fmt.Sprintf(`{"epoch":"e1","0":%d}`, off) }
	c.ask("+join wild:*", "join wild:*("+at(0)+" false true)")
	w.publish("1", "wild:a") // 1
	c.hears("", joinedNotice("wild:a", "wild:*", "stream", true, 0), "1")
	w.settle()
	c.ask("+list", "list wild:*("+at(1)+" false true wild:a"+at(1)+")")

	snap := w.talk() // it has nothing of the room before the snapshot's end
	if got := snap.ask("+snap last:*", "snap last:*("); got != "snap last:*({} false false last:x{})" {
		t.Errorf("before its snapshot: %s", got)
	}
	snap.expect(`{"jsonrpc":"2.0","method":"snapshot_begin"`)
	snap.expect(`{"room":"last:x"`)
	snap.expect(`{"jsonrpc":"2.0","method":"snapshot_end"`)
	snap.ask("+list", "list last:*("+at(1)+" false false last:x"+at(1)+")")

	c.write(1, "auth positions")
	w.toldWhileBusy(t, c)
	c.conn.Close()
	w.await(func() bool { return w.engine.Stats().Connections == 1 })
	w.toldWhenStalled(t)
}

// toldWhileBusy: while all matching rooms are busy, the positions that are told go on, and are
// never beyond what was sent.
func (w *world) toldWhileBusy(t *testing.T, c *client) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for i := 2; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				w.publish(fmt.Sprint(i), []string{"wild:a", "wild:b", "wild:c"}[i%3])
			}
		}
	}()
	seen, told := 1, 1
	for notices := 0; notices < 5; {
		_, got := c.read()
		if _, pos, ok := strings.Cut(got, `"pos":"0:`); ok {
			off, _ := strconv.Atoi(pos[:strings.IndexByte(pos, '"')])
			if off != seen+1 && off <= told {
				t.Fatalf("%s comes after %d was told", got, told)
			}
			seen = max(seen, off)
		}
		if !strings.HasPrefix(got, `{"jsonrpc":"2.0","method":"positions"`) {
			continue
		}
		now := offsetIn(got, `"wild:*":`)
		if now < told || now > seen {
			t.Fatalf("after %d: %s", seen, got)
		}
		if now > told {
			notices++
		}
		told = now
	}
	close(stop)
	<-stopped
}

// toldWhenStalled: a client that does not read is told no more than it was sent.
func (w *world) toldWhenStalled(t *testing.T) {
	t.Helper()
	d := w.talk()
	d.ask("+join wild:*", "join wild:*(")
	big := `"` + strings.Repeat("x", 9000) + `"`
	w.await(func() bool {
		w.publish(big, "wild:a")
		return w.engine.Stats().Blocked >= 1
	})
	w.publish("1", "wild:b", "wild:c")
	w.settle()
	d.write(1, "+leave wild:*")
	for last := 0; ; {
		_, got := d.read()
		if _, pos, ok := strings.Cut(got, `"pos":"0:`); ok {
			off, _ := strconv.Atoi(pos[:strings.IndexByte(pos, '"')])
			last = max(last, off)
		}
		if strings.HasPrefix(got, "leave wild:*(") {
			if off := offsetIn(got, "leave wild:*("); off > last || off < 0 {
				t.Errorf("after %d: %s", last, got)
			}
			break
		}
	}
}

// TestWildcardPositionFull: of a wildcard that is full the position stays before the room that it
// could not join.
func TestWildcardPositionFull(t *testing.T) {
	w := newWildcardWorld(t, 8, 1)
	w.settle()
	c := w.talk()
	c.ask("+join wild:*", `join wild:*({"epoch":"e1","0":0} false true)`)
	w.publish("1", "wild:a")
	c.hears("", joinedNotice("wild:a", "wild:*", "stream", true, 0), "1")
	w.publish("2", "wild:b")
	c.expect(`{"jsonrpc":"2.0","method":"limit"`)
	w.publish("3", "wild:a")
	c.hears("", "3")
	w.settle()
	if got := c.ask("+list", "list"); offsetIn(got, "wild:*(") > 1 {
		t.Errorf("got %s", got)
	}
}

// TestWildcardPositionOlder: the position of a join is before all that its rooms have yet to be sent,
// also of those that begin or stand earlier than the wildcard.
func TestWildcardPositionOlder(t *testing.T) {
	stream := &rooms.Class{Name: "stream", RetainBytes: 32 << 20, RetainAge: time.Minute}
	w := newWorld(t, Config{Wildcards: 8, SendBuffer: 4 << 10}, stream)
	w.publish("0", "all")
	stay := w.talk()
	stay.ask("join wild:old,deep:a", "join")
	w.publish("1", "wild:old", "wild:old", "wild:old") // 1 to 3
	w.publishKey("full", "4", "deep:a")
	w.publish("5", "deep:a")
	w.settle()
	at := func(off int) string { return fmt.Sprintf(`{"epoch":"e1","0":%d}`, off) }
	f := func(say, want string) {
		t.Helper()
		c := w.talk()
		c.ask(say, want)
		c.conn.Close()
	}
	f("+join wild:*", "join wild:*("+at(5)+" false true wild:old"+at(5))
	f("+since wild:*>wild:old=e1:1", "since wild:*("+at(1)+" false true wild:old"+at(1))
	f("+since wild:old=e1:2,wild:*", "since wild:old"+at(2)+" wild:*("+at(2)+" false true)")
	f("+join deep:*", "join deep:*("+at(3)+" false true deep:a"+at(3)) // its book, and what came after it

	c := w.talk() // it was in the room before, and does not read
	c.ask("join wild:old", "join")
	big := `"` + strings.Repeat("x", 9000) + `"`
	w.await(func() bool {
		w.publish(big, "wild:old")
		return w.engine.Stats().Blocked >= 1
	})
	w.publish("6", "wild:old", "wild:old")
	w.settle()
	c.write(1, "+join wild:*")
	for last := 5; ; {
		_, got := c.read()
		if _, pos, ok := strings.Cut(got, `"pos":"0:`); ok {
			last, _ = strconv.Atoi(pos[:strings.IndexByte(pos, '"')])
		} else if off := offsetIn(got, "join wild:*("); off > last || off < 0 {
			t.Errorf("after %d: %s", last, got)
		} else {
			break
		}
	}
}

// TestWildcardPositionRefused: the position waits for a room that was named beside the wildcard and
// could not be joined.
func TestWildcardPositionRefused(t *testing.T) {
	w := newWorld(t, Config{Wildcards: 8, SnapshotBegins: func(_ *Conn, room string, _ int) error {
		if room == "last:x" {
			return &rooms.NotNowError{Why: "too many"}
		}
		return nil
	}})
	w.publishKey("k", "0", "last:x")
	w.publishKey("k", "1", "last:y")
	w.settle()
	c := w.talk()
	c.ask("+snap last:x,last:*", "snap last:x{} not now: too many last:*({} false false last:y{})")
	c.expect(`{"jsonrpc":"2.0","method":"snapshot_begin"`)
	c.expect(`{"room":"last:y"`)
	c.expect(`{"jsonrpc":"2.0","method":"snapshot_end"`)
	w.publishKey("k", "2", "last:x")
	w.settle()
	c.ask("+list", "list last:*({} false false last:y")
	c.ask("join last:x", "join last:x")
	c.ask("+list", `list last:*({"epoch":"e1","0":2} false false last:y`)
}
