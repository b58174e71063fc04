package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

func joinedNotice(room, pattern, class string, chain bool, off int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"joined","params":{"room":%q,"pattern":%q,"class":%q,"chain":%v,`+
		`"positions":{"epoch":"e1","0":%d}}}`, room, pattern, class, chain, off)
}

func newWildcardWorld(t *testing.T, wildcards, most int) *world {
	w := newWorld(t, Config{Wildcards: wildcards, RoomsPerWildcard: most})
	w.publish("0", "all") // from here on positions are known
	return w
}

func TestWildcard(t *testing.T) {
	w := newWildcardWorld(t, 3, 4)
	c, other := w.talk(), w.talk()
	other.ask("join wild:a1,wild:b1", "join")
	other.ask("join wild:asked-for", "join")
	w.publish("1", "wild:a1", "wild:b1") // offsets 1 and 2
	f := func(say string, want ...string) {
		t.Helper()
		if say != "" {
			c.write(1, say)
		}
		for _, x := range want {
			if _, got := c.read(); got != x {
				t.Errorf("%q: got %q, not %q", say, got, x)
			}
		}
	}
	at := func(off int) string { return fmt.Sprintf(`{"epoch":"e1","0":%d}`, off) }
	data := func(room string, off int, prev, value string) string {
		if prev != "" {
			prev = `"prev":"0:` + prev + `",`
		}
		return fmt.Sprintf(`{"room":%q,"type":"t","pos":"0:%d",%s"ts":1,"data":%s}`, room, off, prev, value)
	}
	f("join wild:a*", "join wild:a*(false true wild:a1"+at(2)+")")
	w.publish("3", "wild:a2")
	f("", joinedNotice("wild:a2", "wild:a*", "stream", true, 2), data("wild:a2", 3, "", "3"))
	w.publish("4", "wild:a1", "wild:b1")
	w.settle()
	f("", data("wild:a1", 4, "1", "4"))
	f("list", "list wild:a*(false true wild:a1"+at(5)+" wild:a2"+at(5)+")")

	// Joined by name, before and after: it stays what it was.
	f("join wild:a3,wild:a2", "join wild:a3"+at(5)+" wild:a2"+at(5)+" already")
	w.publish("6", "wild:a3")
	f("", data("wild:a3", 6, "", "6"))
	f("leave wild:a*", "leave wild:a*(false true wild:a1"+at(6)+" wild:a2"+at(6)+")")
	w.publish("7", "wild:a1", "wild:a4")
	w.settle()
	f("list", "list wild:a3"+at(8))
	f("leave wild:a*,wild:a3", "leave wild:a*{} the connection is not in this room wild:a3"+at(8))

	// One room of it is left by name.
	f("join wild:b*", "join wild:b*(false true wild:b1"+at(8)+")")
	f("leave wild:b1", "leave wild:b1"+at(8))
	w.publish("9", "wild:b1")
	f("leave wild:b*", "leave wild:b*(false true)")

	overlap := ` the wildcard overlaps with "wild:b*": leave that one first, or ask for only one of them`
	f("join wild:b*,wild:b*,wild:*,wild:bc*",
		"join wild:b*(false true wild:b1"+at(9)+") wild:b*(false true already wild:b1"+at(9)+") wild:*{}"+overlap+
			" wild:bc*{}"+overlap)
	f("join bare:*", "join bare:*{} rooms with bare frames cannot be joined by a wildcard: name one room")
	f("join wild:c*,wild:d*,wild:e*",
		"join wild:c*(false true) wild:d*(false true) wild:e*{} wildcards_per_connection is 3")
	w.await(func() bool { return w.engine.Stats().Wildcards == 3 })
	c.conn.Close()
	other.conn.Close()
	w.await(func() bool { s := w.engine.Stats(); return s.Wildcards == 0 && s.Members == 0 })
	w.await(func() bool { return w.table.Stats().Listened == 0 })
}

// What a wildcard asks of its memberships holds for rooms that appear as well.
func TestWildcardWishes(t *testing.T) {
	w := newWildcardWorld(t, 8, 0)
	w.publishKey("a", "1", "last:x")
	w.publishKey("b", "2", "last:x")
	c := w.talk()
	c.ask("keys last:*=b", "keys last:*(false false last:x{})")
	c.expect(`{"jsonrpc":"2.0","method":"snapshot_begin","params":{"room":"last:x"}}`)
	if got := c.expect(`{"room":"last:x"`); !strings.HasSuffix(got, `"data":2}`) {
		t.Errorf("the snapshot has %q", got)
	}
	c.expect(`{"jsonrpc":"2.0","method":"snapshot_end"`)
	w.publishKey("a", "3", "last:y")
	w.publishKey("b", "4", "last:y")
	c.expect(joinedNotice("last:y", "last:*", "market", false, 2))
	if got := c.expect(`{"room":"last:y"`); !strings.HasSuffix(got, `"data":4}`) {
		t.Errorf("got %q", got)
	}
	c.ask("list", "list last:*(false false last:x")
}

func TestWildcardLimits(t *testing.T) {
	w := newWildcardWorld(t, 8, 4)
	keep := w.talk()
	for i := range 5 {
		keep.ask(fmt.Sprintf("join wild:a%d", i), "join")
		w.publish("1", fmt.Sprintf("wild:a%d", i))
		keep.expect(`{"room":"wild:a`)
	}
	c := w.talk()
	c.ask("join wild:a*",
		"join wild:a*{} the wildcard has more rooms than rooms_per_wildcard, which is 4: write more of the name "+
			"before the star")
	w.publish("2", "wild:a9")
	c.ask("list", "list")
	c.ask("join wild:b*", "join wild:b*(false true)")
	for i := range 4 {
		w.publish("3", fmt.Sprintf("wild:b%d", i))
		c.expect(`{"jsonrpc":"2.0","method":"joined"`)
		c.expect(`{"room":"wild:b`)
	}
	w.publish("4", "wild:b4")
	c.expect(`{"jsonrpc":"2.0","method":"limit","params":{"pattern":"wild:b*","room":"wild:b4",` +
		`"limit":"rooms_per_wildcard","most":4}}`)
	w.publish("5", "wild:b5", "wild:b0")
	if got := c.expect(`{"room":"wild:b0"`); !strings.HasSuffix(got, `"data":5}`) {
		t.Errorf("got %q", got)
	}
	c.ask("list", "list wild:b*(true true wild:b0")
	if s := w.engine.Stats(); s.WildcardsFull != 1 || s.Wildcards != 1 {
		t.Errorf("%d wildcards, %d of them full", s.Wildcards, s.WildcardsFull)
	}
	c.ask("leave wild:b*", "leave wild:b*(true true wild:b0")

	// What the connection may be in altogether counts as well.
	w2 := newWildcardWorld(t, 8, 0)
	keep = w2.talk()
	names := make([]string, 101)
	for i := range names {
		names[i] = fmt.Sprintf("wild:%03d", i)
	}
	keep.ask("join "+strings.Join(names, ","), "join")
	w2.publish("1", names...)
	d := w2.talk()
	d.write(1, "most 100")
	d.ask("join wild:*", "join wild:*{} the wildcard has 101 rooms, but rooms is 100")
	d.ask("join wild:0*", "join wild:0*(false true wild:000")
	d.write(1, "most 20")
	d.ask("list", "list") // or the request might not be read yet
	w2.publish("2", "wild:0x")
	d.expect(`{"jsonrpc":"2.0","method":"limit","params":{"pattern":"wild:0*","room":"wild:0x","limit":"rooms",` +
		`"most":20}}`)
}

// The rooms that a client comes back to are joined with what it missed, whether
// they are there or not.
func TestWildcardSince(t *testing.T) {
	w := newWildcardWorld(t, 8, 0)
	w.publish("1", "wild:a", "wild:b", "wild:a") // 1, 2, 3: nobody is there, and nothing is kept
	c := w.talk()
	c.ask("since wild:*>wild:a=e1:1", `since wild:*(false true wild:a{"epoch":"e1","0":1})`)
	if got := c.expect(`{"room":"wild:a"`); !strings.Contains(got, `"pos":"0:3"`) {
		t.Errorf("got %q", got)
	}
	w.publish("2", "wild:a")
	if got := c.expect(`{"room":"wild:a"`); !strings.Contains(got, `"pos":"0:4"`) {
		t.Errorf("got %q", got)
	}
	w.publish("2", "wild:b")
	c.expect(joinedNotice("wild:b", "wild:*", "stream", true, 4))
	c.expect(`{"room":"wild:b"`)
	c.ask("leave wild:*", "leave wild:*(")
	c.ask("since wild:*>wild:a=e0:1",
		`since wild:*(false true wild:a{"epoch":"e1","0":5} but position too old: they are of epoch "e0", and the `+
			`topic's is "e1" wild:b{`)
	c.expect(gapNotice("wild:a", "e0:1", "e1:5"))
}

// Rooms appear while clients come, go and give their wildcards up: each gets
// every message of each room from its notice on.
func TestWildcardRaces(t *testing.T) {
	w := newWorld(t, Config{Loops: 2, Wildcards: 8})
	w.publish("0", "all")
	const clients, names, messages = 20, 60, 3
	done := make(chan struct{})
	var list []*client
	for range clients {
		list = append(list, w.talk())
		list[len(list)-1].ask("join wild:*", "join wild:*(")
	}
	fickle := w.talk()
	go func() {
		defer close(done)
		for range messages {
			for i := range names {
				w.publish(fmt.Sprint(i), fmt.Sprint("wild:", i))
			}
		}
	}()
	left := func() {
		fickle.write(1, "leave wild:*")
		for end := time.Now().Add(testwait.Patience); time.Now().Before(end); {
			if _, got := fickle.read(); strings.HasPrefix(got, "leave wild:*(") {
				return
			}
		}
		t.Fatal("no answer")
	}
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		fickle.ask("join wild:*", "join wild:*(")
		left()
	}
	fickle.ask("list", "list") // and nothing after the leave
	for k, c := range list {
		if k%4 == 0 {
			c.conn.Close()
			continue
		}
		seen := map[string]int{}
		for range names * (messages + 1) {
			_, got := c.read()
			var room string
			if rest, ok := strings.CutPrefix(got, `{"jsonrpc":"2.0","method":"joined","params":{"room":"`); ok {
				room, _, _ = strings.Cut(rest, `"`)
				if seen[room] != 0 {
					t.Fatalf("%q comes late or twice", got)
				}
			} else {
				room, _, _ = strings.Cut(strings.TrimPrefix(got, `{"room":"`), `"`)
				if seen[room] == 0 {
					t.Fatalf("%q comes before the notice", got)
				}
			}
			seen[room]++
		}
		if len(seen) != names {
			t.Fatalf("client %d saw %d rooms", k, len(seen))
		}
		c.conn.Close()
	}
	fickle.conn.Close()
	w.await(func() bool { s := w.engine.Stats(); return s.Wildcards == 0 && s.Members == 0 })
	w.await(func() bool { return w.table.Stats().Listened == 0 })
}

// A client that does not read is told of the rooms when it does, and none is lost.
func TestWildcardSlowClient(t *testing.T) {
	w := newWorld(t, Config{SendBuffer: 4 << 10, Wildcards: 8},
		&rooms.Class{Name: "stream", RetainBytes: 32 << 20, RetainAge: time.Minute})
	w.publish("0", "all")
	c := w.talk("all")
	c.ask("join wild:*", "join wild:*(")
	big := `"` + strings.Repeat("x", 9000) + `"`
	w.await(func() bool {
		w.publish(big, "all")
		return w.engine.Stats().Blocked == 1
	})
	const names = 2000 // of which the notices alone are twice what may wait
	for i := range names {
		w.publish("1", fmt.Sprint("wild:", i))
	}
	notices, frames := map[string]bool{}, 0
	for frames < names {
		_, got := c.read()
		if strings.HasPrefix(got, `{"room":"all"`) {
			continue
		}
		if rest, ok := strings.CutPrefix(got, `{"jsonrpc":"2.0","method":"joined","params":{"room":"`); ok {
			room, _, _ := strings.Cut(rest, `"`)
			notices[room] = true
			continue
		}
		room, _, ok := strings.Cut(strings.TrimPrefix(got, `{"room":"`), `"`)
		if !ok || !notices[room] {
			t.Fatalf("got %.200q", got)
		}
		frames++
	}
}
