package loop

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// keyed is what a client of a conflated room reads and keeps.
type keyed struct {
	*client
	values    map[string]int
	conflated int
	frames    int
}

// next reads one message; a notice is returned by its method.
func (k *keyed) next() (notice string) {
	k.t.Helper()
	_, text := k.read()
	var m struct {
		Method string
		Params struct {
			Room  string
			Count int
		}
		Key  string
		Pos  string
		Data *int
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		k.t.Fatalf("%q: %v", text, err)
	}
	if m.Method != "" {
		k.conflated += m.Params.Count
		if m.Method == "snapshot_begin" {
			clear(k.values)
		}
		return m.Method
	}
	k.frames++
	if m.Data == nil {
		delete(k.values, m.Key)
		return ""
	}
	if old, ok := k.values[m.Key]; ok && old >= *m.Data {
		k.t.Fatalf("%s: %d after %d", m.Key, *m.Data, old)
	}
	k.values[m.Key] = *m.Data
	return ""
}

func TestSnapshot(t *testing.T) {
	w := newWorld(t, Config{})
	empty := w.talk()
	empty.ask("snap last", "snap last{}") // nothing was published: no position, and nothing to send
	for i, key := range []string{"a", "b", "c", "a", "b"} {
		w.publishKey(key, fmt.Sprint(i), "last")
	}
	w.publishKey("c", "", "last")
	w.publishKey("d", "6", "last")
	c := w.talk()
	f := c.hears
	begin := `{"jsonrpc":"2.0","method":"snapshot_begin","params":{"room":"last"}}`
	end := `{"jsonrpc":"2.0","method":"snapshot_end","params":{"room":"last","positions":{"epoch":"e1","0":6}}}`
	f("snap last", "snap last{}", begin, "3", "4", "null", "6", end)
	f("leave last", `leave last{"epoch":"e1","0":6}`)
	f("join last", `join last{"epoch":"e1","0":6}`)
	w.publishKey("b", "7", "last")
	f("", "7")
	f("leave last", `leave last{"epoch":"e1","0":7}`)
	end = strings.Replace(end, `"0":6`, `"0":7`, 1)
	f("keys last=b", "keys last{}", begin, "7", end)
	w.publishKey("a", "8", "last")
	w.publishKey("b", "9", "last")
	f("", "9")
	f("list", `list last{"epoch":"e1","0":9}`)
}

// TestConflation: clients that stop reading get, when they read again, what
// their kernels held and then the newest of each key, while a snapshot of a busy
// room ends with what was newest at that position.
func TestConflation(t *testing.T) {
	const keys, updates = 50, 40_000
	w := newWorld(t, Config{NotSentLowat: 16 << 10},
		&rooms.Class{Name: "market", Conflate: true, Snapshot: true, RetainBytes: 256 << 10, ConflateBytes: 32 << 10,
			ConflateAge: time.Hour})
	w.publishKey("k0", "0", "last")
	var clients []*keyed
	for range 4 {
		c := w.talk()
		c.ask("snap last", "snap last")
		clients = append(clients, &keyed{client: c, values: map[string]int{}})
	}
	newest := map[string]int{}
	rnd := rand.New(rand.NewPCG(1, 2))
	var done sync.WaitGroup
	done.Go(func() {
		for i := 1; i < updates; i++ {
			key := fmt.Sprint("k", rnd.IntN(keys))
			newest[key] = i
			w.publishKey(key, fmt.Sprint(i), "last")
		}
	})
	// One reads from the beginning, one now and then, two not before the end.
	read := func(k *keyed, n int) {
		for i := 0; i < n && k.values["end"] == 0; i++ {
			k.next()
		}
	}
	done.Go(func() { read(clients[0], 1<<30) })
	done.Go(func() {
		for clients[1].values["end"] == 0 {
			read(clients[1], 500)
			w.awaitMore(2000, updates) // meanwhile it does not read
		}
	})
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	w.await(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.off >= updates })
	w.publishKey("end", fmt.Sprint(updates), "last")
	<-finished
	read(clients[2], 1<<30)
	read(clients[3], 1<<30)
	newest["end"] = updates
	for i, k := range clients {
		if fmt.Sprint(k.values) != fmt.Sprint(newest) {
			t.Errorf("client %d has %v, want %v", i, k.values, newest)
		}
		t.Logf("client %d: %d frames", i, k.frames)
	}
	if clients[3].frames > updates/2 {
		t.Errorf("a client that did not read got %d frames of %d", clients[3].frames, updates)
	}
	if w.engine.Stats().Conflated == 0 {
		t.Error("nobody was conflated")
	}
	clients[3].write(1, "leave last")
	for {
		if _, text := clients[3].read(); strings.HasPrefix(text, "leave last") {
			break
		}
	}
}

// hears says something, unless it is "", and expects each of want: a whole
// message, or its data.
func (c *client) hears(say string, want ...string) {
	c.t.Helper()
	if say != "" {
		c.write(1, say)
	}
	for _, x := range want {
		_, got := c.read()
		_, data, _ := strings.Cut(got, `"data":`)
		if got != x && data != x+"}" {
			c.t.Errorf("%q: got %q, not %q", say, got, x)
		}
	}
}

// TestResume: who says where it was gets what came after, from the tape or from
// the last values, and who cannot hears why, with a snapshot where there is one.
func TestResume(t *testing.T) {
	w := newWorld(t, Config{})
	stay := w.talk("all", "side") // else the rooms would hold nothing
	for i := range 5 {
		w.publish(fmt.Sprint(i), "all")
	}
	for i, key := range []string{"a", "b", "a"} {
		w.publishKey(key, fmt.Sprint(5+i), "last")
	}
	w.publish("8", "all")
	for range 6 {
		stay.read()
	}
	c := w.talk()
	f := c.hears
	f("since all=e1:2", `since all{"epoch":"e1","0":2}`, "3", "4", "8")
	w.publish("9", "all")
	f("", "9")
	f("leave all", `leave all{"epoch":"e1","0":9}`)
	f("since all=e1:9", `since all{"epoch":"e1","0":9}`)
	f("leave all", `leave all{"epoch":"e1","0":9}`)
	// Of a topic that has not reached it.
	f("since all=e1:11", `since all{"epoch":"e1","0":9} but position too old: the topic is shorter`,
		gapNotice("all", "e1:11", "e1:9"))
	f("leave all", `leave all{"epoch":"e1","0":9}`)
	f("since all=e1:9", `since all{"epoch":"e1","0":9}`)
	for i := range 4 {
		w.publish(fmt.Sprint(10+i), "all")
	}
	f("", "10", "11", "12", "13")
	f("since side=e0:3",
		`since side{"epoch":"e1","0":13} but position too old: they are of epoch "e0", and the topic's is "e1"`,
		gapNotice("side", "e0:3", "e1:13"))

	begin := `{"jsonrpc":"2.0","method":"snapshot_begin","params":{"room":"last"}}`
	end := `{"jsonrpc":"2.0","method":"snapshot_end","params":{"room":"last","positions":{"epoch":"e1","0":13}}}`
	f("snap last", "snap last{}", begin, "6", "7", end)
	f("leave last", `leave last{"epoch":"e1","0":13}`)

	// A room that nobody here was in: all of it is read again.
	for i := range 3 {
		w.publish(fmt.Sprint(14+i), "few:x")
	}
	f("since few:x=e1:14", `since few:x{"epoch":"e1","0":14}`, "15", "16")
	w.publish("17", "few:x")
	f("", "17")
	end = strings.Replace(end, `"0":13`, `"0":17`, 1)
	f("since last=e0:6", `since last{} but position too old: they are of epoch "e0", and the topic's is "e1"`,
		gapNotice("last", "e0:6", "e1:17"), begin, "6", "7", end)
	f("leave last", `leave last{"epoch":"e1","0":17}`)

	w.publishKey("a", "18", "last")
	c.leavesAtOnce()
	f("since last=e1:7", `since last{"epoch":"e1","0":7}`, "18")

	// A room that has never had a message has a snapshot too, of nothing.
	begin, end = strings.Replace(begin, "last", "last:0", 1),
		strings.Replace(strings.Replace(end, "last", "last:0", 1), ":17", ":18", 1)
	f("since last:0=e0:6", `since last:0{} but position too old: they are of epoch "e0", and the topic's is "e1"`,
		gapNotice("last:0", "e0:6", "e1:18"), begin, end)
	w.publishKey("a", "19", "last:0")
	f("", "19")
}

// TestRate: no two sends to a member come sooner than its rate allows, the
// newest of each key is what it gets, and all of it where the class does not conflate.
func TestRate(t *testing.T) {
	w := newWorld(t, Config{})
	const every = 200 * time.Millisecond
	last, all := w.talk(), w.talk()
	last.ask("rate last=5", "rate last")
	all.ask("rate all=5", "rate all")
	end := make(chan struct{})
	const updates = 300
	go func() {
		defer close(end)
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for i := range updates {
			w.publishKey("a", fmt.Sprint(i), "last")
			w.publish(fmt.Sprint(i), "all")
			<-tick.C
		}
	}()
	sends := func(c *client, want func(i int, v string) bool) (n int) {
		var before time.Time
		for i := 0; ; i++ {
			_, got := c.read()
			_, data, ok := strings.Cut(got, `"data":`)
			if !ok {
				i--
				continue // a notice
			}
			if now := time.Now(); now.Sub(before) > every/4 { // else of the same send
				n++
				before = now
			}
			if !want(i, strings.TrimSuffix(data, "}")) {
				t.Errorf("value %d is %s", i, data)
			}
			if data == fmt.Sprint(updates-1, "}") {
				return n
			}
		}
	}
	began := time.Now()
	var byLast, byAll int
	var done sync.WaitGroup
	newest := -1
	done.Go(func() {
		byLast = sends(last, func(_ int, v string) bool {
			var x int
			fmt.Sscan(v, &x)
			ok := x > newest
			newest = x
			return ok
		})
	})
	done.Go(func() { byAll = sends(all, func(i int, v string) bool { return v == fmt.Sprint(i) }) })
	done.Wait()
	<-end
	most := int(time.Since(began)/every) + 2
	if byLast > most || byAll > most || byLast < 3 || byAll < 3 {
		t.Errorf("%d and %d sends, of which %d are allowed", byLast, byAll, most)
	}
}

// TestRejoin: while the past is read again the tape goes on without its member:
// it is read again from where the member is, and nothing is lost.
func TestRejoin(t *testing.T) {
	w := newWorld(t, Config{}, &rooms.Class{Name: "stream", RetainBytes: 4 << 10})
	w.hold = make(chan struct{})
	stay := w.talk("all")
	n := 0
	more := func() {
		t.Helper()
		for range 1000 {
			w.publish(fmt.Sprint(n), "all")
			n++
		}
		for _, got := stay.read(); !strings.HasSuffix(got, fmt.Sprint(`"data":`, n-1, "}")); _, got = stay.read() {
		}
		w.await(func() bool { // until retention has seen to it
			r, _ := w.table.TopRooms(9, testwait.Patience)
			return r[0].Bytes < 6<<10
		})
	}
	more()
	c := w.talk()
	c.write(1, "since all=e1:9")
	w.hold <- struct{}{} // the join's seam is given
	more()
	w.hold <- struct{}{}
	c.expect(`since all{"epoch":"e1","0":9}`)
	w.hold <- struct{}{} // of what retention has taken meanwhile
	go func() {
		for {
			select {
			case w.hold <- struct{}{}:
			case <-t.Context().Done():
				return
			}
		}
	}()
	w.publish(fmt.Sprint(n), "all")
	n++
	for at := 10; at < n; at++ {
		if _, got := c.read(); !strings.HasSuffix(got, fmt.Sprint(`"data":`, at, "}")) {
			t.Fatalf("got %s, not %d", got, at)
		}
	}
}
