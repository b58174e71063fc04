package loop

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestWildcardSincePosition: a position of the wildcard's own stands for every room that is not
// named: those that are here, those that came and that nobody was in, and none beyond.
func TestWildcardSincePosition(t *testing.T) {
	w := newWildcardWorld(t, 8, 9)
	stay := w.talk()
	stay.ask("join wild:old,wild:quiet", "join")
	w.publish("1", "wild:quiet", "wild:old", "wild:gone", "wild:old") // 1 to 4
	w.settle()
	c := w.talk()
	c.ask("+since wild:*=e1:2",
		`since wild:*({"epoch":"e1","0":2} false true wild:gone{"epoch":"e1","0":2} wild:old{"epoch":"e1","0":2} `+
			`wild:quiet{"epoch":"e1","0":4})`)
	got := map[string]bool{}
	for range 2 {
		got[c.expect(`{"room":"wild:`)[:len(`{"room":"wild:gone"`)]] = true
	}
	if len(got) != 2 {
		t.Errorf("got %v", got)
	}
	w.publish("5", "wild:new")
	c.hears("", joinedNotice("wild:new", "wild:*", "stream", true, 4), "5")
	w.settle()
	c.ask("+list", `list wild:*({"epoch":"e1","0":5} false true wild:gone`)

	// A room that is named goes on from its own position; one joined by name does, too.
	d := w.talk()
	d.ask("+since wild:*>wild:*>wild:old=e1:3+e1:1",
		`since wild:*({"epoch":"e1","0":1} false true wild:new{"epoch":"e1","0":3} wild:old{"epoch":"e1","0":1} `+
			`wild:quiet`)
	for range 3 {
		d.expect(`{"room":"wild:`)
	}
	d.conn.Close()

	// Trouble that passes joins none of its rooms: each would begin with its next message.
	w.setAway(true)
	e := w.talk()
	e.ask("+since wild:*=e1:1", "since wild:*{} not now: the topic is away") // of wild:gone nothing is here
	e.ask("+since wild:*>wild:gone=e1:1", `since wild:*{} room "wild:gone": not now: the topic is away`)
	w.publish("6", "wild:gone")
	e.ask("list", "list")
	w.setAway(false)
	e.ask("+since wild:*=e1:5", `since wild:*({"epoch":"e1","0":5} false true wild:gone{"epoch":"e1","0":5}`)
	e.hears("", "6")

	// What cannot be had is told of the wildcard and of each room that is here.
	w.setLow(4)
	w.settle()
	f := w.talk()
	const why = " but position too old: the topic begins later"
	f.ask("+since wild:*=e1:1",
		`since wild:*({"epoch":"e1","0":6} false true`+why+` wild:gone{"epoch":"e1","0":6}`+why+` wild:new{`)
	for range 4 {
		f.expect(`{"jsonrpc":"2.0","method":"gap","params":{"room":"wild:`)
	}
}

// TestWildcardAhead: a client that comes from a node that was ahead gets nothing twice, also
// of rooms that appear here later than there.
func TestWildcardAhead(t *testing.T) {
	w := newWildcardWorld(t, 8, 9)
	stay := w.talk()
	stay.ask("join wild:old", "join")
	w.publish("1", "wild:old")
	w.settle()
	w.mu.Lock()
	w.ahead = 3
	w.mu.Unlock()
	c := w.talk()
	c.ask("+since wild:*=e1:3", `since wild:*({"epoch":"e1","0":3} false true wild:old{"epoch":"e1","0":3})`)
	w.publish("2", "wild:new") // which it has
	c.hears("", joinedNotice("wild:new", "wild:*", "stream", true, 3))
	w.publish("3", "wild:old")
	w.publish("4", "wild:new")
	w.publish("5", "wild:old")
	got := []string{c.expect(`{"room":"wild:`), c.expect(`{"room":"wild:`)}
	if all := strings.Join(got, " "); !strings.Contains(all, `"data":4}`) || !strings.Contains(all, `"data":5}`) {
		t.Errorf("got %s", all)
	}
}

// TestWildcardEarlyTooMany: more rooms appear during the join than it may take, of which some
// are the connection's by name: it is told that the wildcard is full.
func TestWildcardEarlyTooMany(t *testing.T) {
	w := newWildcardWorld(t, 8, 1)
	w.hold = make(chan struct{})
	w.publish("1", "all")
	w.settle()
	c := w.talk()
	c.ask("join wild:a,wild:b", "join")
	c.write(1, "+since wild:*=e1:-1") // from before the gateway began to read
	w.hold <- struct{}{}              // it is asked what came since
	for _, room := range []string{"wild:a", "wild:b", "wild:c"} {
		w.publish("2", room)
		w.settle()
	}
	c.write(1, "echo")
	for range 3 {
		c.read()
	}
	w.hold <- struct{}{}
	c.expect("since wild:*(")
	c.expect(`{"jsonrpc":"2.0","method":"limit","params":{"pattern":"wild:*","room":"wild:c",` +
		`"limit":"rooms_per_wildcard","most":1}}`)
	if got := c.ask("+list", "list wild:*("); offsetIn(got, "wild:*(") > 3 {
		t.Errorf("got %s", got)
	}
}

// TestWildcardSinceKeyframes: a client that has all of a room with keyframes gets its changes,
// where no keyframe is held here, and nothing twice where one is.
func TestWildcardSinceKeyframes(t *testing.T) {
	w := newWildcardWorld(t, 8, 9)
	stay := w.talk()
	stay.ask("join deep:a,deep:b", "join")
	w.publish("1", "deep:a")
	w.publishKey("full", "2", "deep:b")
	w.publish("3", "deep:b")
	w.settle()
	f := func(since int) {
		t.Helper()
		c := w.talk()
		c.ask(fmt.Sprint("+since deep:*=e1:", since),
			fmt.Sprintf(`since deep:*({"epoch":"e1","0":%d} false true`, since))
		next := strconv.FormatInt(w.off, 10)
		w.publish(next, "deep:a")
		w.settle()
		c.hears("", next)
		next += "1"
		w.publish(next, "deep:b")
		c.hears("", next)
		c.conn.Close()
	}
	f(3)                  // all that came
	f(5)                  // again
	w.publish("8", "all") // which it lacks nothing of
	w.settle()
	f(7)
}

// TestWildcardSinceJudged: the budget that the names of a wildcard's rooms were paid from is not
// asked for again by each of them, but by one that begins earlier.
func TestWildcardSinceJudged(t *testing.T) {
	var w *world
	w = newWorld(t, Config{Wildcards: 8, Recall: func(r *rooms.Recall) {
		if r.Names == nil && !r.Judged {
			r.Done(nil, &rooms.NotNowError{Why: "the budget is used up"})
			return
		}
		w.recall(r)
	}})
	w.publish("0", "all", "wild:a", "wild:a", "wild:b", "wild:a") // 0 to 4
	w.settle()
	c := w.talk()
	c.ask("+since wild:*>wild:*>wild:a=e1:0+e1:1",
		`since wild:*({"epoch":"e1","0":0} false true wild:a{"epoch":"e1","0":1} wild:b{"epoch":"e1","0":0})`)
	for range 3 {
		c.expect(`{"room":"wild:`)
	}
	d := w.talk()
	d.ask("+since wild:*>wild:*>wild:a=e1:2+e1:1", `since wild:*{} room "wild:a": not now: the budget is used up`)
}

// roamer is a client of a wildcard that keeps what the documents say: the wildcard's position,
// and the last of each room that is beyond it.
type roamer struct {
	w    *world
	c    *client
	rnd  *rand.Rand
	at   int
	last map[string]int
	got  map[string][]int

	resumed, left, later int
}

// take takes a message; false: it tells of a gap, behind which nothing counts.
func (r *roamer) take(got string) bool {
	if _, pos, ok := strings.Cut(got, `"pos":"0:`); ok {
		room, _, _ := strings.Cut(strings.TrimPrefix(got, `{"room":"`), `"`)
		off, _ := strconv.Atoi(pos[:strings.IndexByte(pos, '"')])
		r.got[room] = append(r.got[room], off)
		r.last[room] = off
		return true
	}
	if strings.HasPrefix(got, `{"jsonrpc":"2.0","method":"positions"`) {
		r.stand(offsetIn(got, `"wild:*":`))
	}
	return !strings.HasPrefix(got, `{"jsonrpc":"2.0","method":"gap"`)
}

func (r *roamer) stand(at int) {
	if at < 0 {
		return
	}
	if at < r.at {
		r.w.t.Errorf("the position goes back from %d to %d", r.at, at)
	}
	r.at = at
	maps.DeleteFunc(r.last, func(_ string, off int) bool { return off <= at })
}

// resume joins from where the client is.
func (r *roamer) resume() {
	names, places := "wild:*", fmt.Sprintf("e1:%d", r.at)
	for room, off := range r.last {
		names += ">" + room
		places += fmt.Sprintf("+e1:%d", off)
	}
	for {
		r.c.write(1, "+since wild:*>"+names+"="+places)
		got := r.until("since")
		if !strings.Contains(got, "not now") {
			if at := offsetIn(got, "since wild:*("); at != r.at {
				r.w.t.Errorf("%s+%s: %.300s", names, places, got)
			}
			r.resumed++
			return
		}
		r.later++
	}
}

// until takes what comes before an answer.
func (r *roamer) until(verb string) string {
	for counts := true; ; {
		_, got := r.c.read()
		if strings.HasPrefix(got, verb) {
			return got
		}
		counts = counts && r.take(got)
	}
}

// stay reads so many messages, and then is cut or leaves; false: all of them came.
func (r *roamer) stay(n int, all func() bool) bool {
	for range n {
		if all() {
			return false
		}
		if _, got := r.c.read(); !r.take(got) {
			return true
		}
	}
	if r.rnd.IntN(3) == 0 {
		r.c.write(1, "+leave wild:*")
		r.stand(offsetIn(r.until("leave"), "leave wild:*("))
		r.left++
	}
	return true
}

// TestWildcardRecordings: symbols begin and end, eight at a time, while clients are cut at
// random, leave and come again with the wildcard's position and what they saw: each gets every
// record once, and in the order of its room.
func TestWildcardRecordings(t *testing.T) {
	stream := &rooms.Class{Name: "stream", RetainBytes: 16 << 10, RetainAge: 300 * time.Millisecond}
	w := newWorld(t, Config{Loops: 2, Wildcards: 8, PingEvery: 20 * time.Millisecond}, stream)
	w.fickle = 25
	w.publish("0", "all")
	w.settle()
	const symbols, records = 120, 3000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var feeding, clients sync.WaitGroup
	feeding.Go(func() {
		rnd := rand.New(rand.NewPCG(seed, 0))
		tick := time.NewTicker(400 * time.Microsecond)
		defer tick.Stop()
		for i := range records {
			first := i * (symbols - 8) / records
			w.publish(strconv.Itoa(i), fmt.Sprint("wild:", first+rnd.IntN(8)))
			<-tick.C
		}
	})
	roamers := make([]*roamer, 6)
	for i := range roamers {
		r := &roamer{
			w: w, rnd: rand.New(rand.NewPCG(seed, uint64(i+1))), at: -1, last: map[string]int{},
			got: map[string][]int{},
		}
		roamers[i] = r
		all := func() bool {
			n := 0
			for _, list := range r.got {
				n += len(list)
			}
			return n >= records
		}
		clients.Go(func() {
			for more := true; more && !t.Failed(); {
				r.c = w.talk()
				r.c.write(1, "auth positions")
				r.resume()
				more = r.stay(r.rnd.IntN(600), all)
				r.c.conn.Close()
				if r.rnd.IntN(4) == 0 {
					w.awaitMore(r.rnd.IntN(1000), records) // it is away
				}
			}
		})
	}
	feeding.Wait()
	clients.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range roamers {
		for room, list := range w.all {
			var want []int
			for _, rec := range list {
				want = append(want, int(rec.Offset))
			}
			if room != "all" && !slices.Equal(r.got[room], want) {
				t.Errorf("client %d: %s has %v, not %v", i, room, r.got[room], want)
			}
		}
		t.Logf("client %d: resumed %d times, left %d, not now %d", i, r.resumed, r.left, r.later)
		if r.resumed < 3 {
			t.Error("which shows little")
		}
	}
}
