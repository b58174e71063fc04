package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

const bookConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, send_buffer: 16KiB, notsent_lowat: 16KiB}
classes:
  book: {conflate_after: {bytes: 32KiB}, retain: {bytes: 128KiB, age: 1s}}
rooms:
  - {match: "book:*", class: book}
auto_join: []
ingest:
  routes:
    - {topic: depth, rooms: ["book:{s}"], type: depth, keyframe: {field: e, equals: depthSnapshot}}
`

// depth is a full book or a change: levels by price. A 0 removes a level.
type depth struct {
	E      string         `json:"e"`
	S      string         `json:"s"`
	Levels map[string]int `json:"levels"`
}

func (d depth) apply(book map[string]int) {
	if d.E == "depthSnapshot" {
		clear(book)
	}
	for price, size := range d.Levels {
		if book[price] = size; size == 0 {
			delete(book, price)
		}
	}
}

// TestBooks: full books and changes in one stream. A client that joins or lags starts at a full
// book. What it has equals the reference at every change that it sees.
func TestBooks(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	symbols, conns, rounds := 20, 40, 8
	if testing.Short() {
		symbols, conns, rounds = 6, 10, 4
	}
	k.topic(t, "depth", 3)
	g := start(t, config(k, bookConfig))
	w := k.producer(t)
	var enough atomic.Bool
	produced := w.meanwhile(func() { writeBooks(w, symbols, &enough) })
	eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 1000 })

	clients := make([]*client, conns)
	onAll(conns, func(i int) {
		c, rnd := dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("b", i))}),
			rand.New(rand.NewPCG(3, uint64(i)))
		clients[i] = c
		for range rounds {
			room := fmt.Sprint("book:S", rnd.IntN(symbols))
			if r := roomReplies(c.call("subscribe", map[string]any{"rooms": []string{room}}).Result); len(r) != 1 ||
				r[0].Status != "joined" {
				c.fault("subscribe: %+v", r)
			}
			if rnd.IntN(2) == 0 {
				c.reading.Lock()
				w.awaitMore(rnd.IntN(5000))
				c.reading.Unlock()
			}
			w.awaitMore(rnd.IntN(1200))
			c.call("unsubscribe", map[string]any{"rooms": []string{room}})
		}
	})
	enough.Store(true)
	<-produced
	w.flush()

	frames, gaps := sameBooks(t, clients, bookAfterEach(t, k.read(t, "depth")))
	t.Logf("%d changes were the same at their position, %d times a member went on at a full book", frames, gaps)
	if frames < conns*100 || gaps == 0 {
		t.Errorf("only %d changes and %d gaps: this shows little", frames, gaps)
	}
}

// writeBooks writes changes of books, and now and then a full book, until it is enough.
func writeBooks(w *producer, symbols int, enough *atomic.Bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	rnd := rand.New(rand.NewPCG(8, 1))
	books := make([]map[string]int, symbols)
	for i := 0; !enough.Load(); i++ {
		n := rnd.IntN(symbols)
		d := depth{E: "depthUpdate", S: fmt.Sprint("S", n), Levels: map[string]int{}}
		if books[n] == nil {
			books[n] = map[string]int{}
		}
		for range 1 + rnd.IntN(4) {
			d.Levels[fmt.Sprint(100+rnd.IntN(60))] = rnd.IntN(5)
		}
		d.apply(books[n])
		if rnd.IntN(50) == 0 {
			d.E, d.Levels = "depthSnapshot", maps.Clone(books[n])
		}
		value, _ := json.Marshal(d)
		w.send("depth", partitionOf(d.S, 3), []byte(d.S), value)
		if i%20 == 0 {
			<-tick.C
		}
	}
}

// bookAfterEach returns the reference: what each book is after each record.
func bookAfterEach(t *testing.T, topic [][]record) (truth map[string]string) {
	t.Helper()
	truth = map[string]string{}
	for p, recs := range topic {
		books := map[string]map[string]int{}
		for _, r := range recs {
			var d depth
			if err := json.Unmarshal(r.value, &d); err != nil {
				t.Fatal(err)
			}
			if books[d.S] == nil {
				books[d.S] = map[string]int{}
			}
			d.apply(books[d.S])
			truth[fmt.Sprint(p, ":", r.offset)] = fmt.Sprint(books[d.S])
		}
	}
	return truth
}

// sameBooks compares the book of each client after each change with the reference, and counts changes and gaps.
func sameBooks(t *testing.T, clients []*client, truth map[string]string) (frames, gaps int) {
	t.Helper()
	for _, c := range clients {
		c.check()
		for _, r := range c.past {
			book, began := map[string]int{}, false
			gaps += r.gaps
			last := int64(-1)
			for _, f := range r.frames {
				var d depth
				if err := json.Unmarshal(f.data, &d); err != nil {
					t.Fatal(err)
				}
				// A client that has lost something starts with a full book, like one that joins.
				if broken := !began || f.prev != last && last >= 0; broken && d.E != "depthSnapshot" {
					t.Fatalf("%s goes on at %d:%d with a change", r.name, f.part, f.off)
				}
				began, last = true, f.off
				d.apply(book)
				if want := truth[fmt.Sprint(f.part, ":", f.off)]; fmt.Sprint(book) != want {
					t.Fatalf("%s at %d:%d is %v, want %v", r.name, f.part, f.off, book, want)
				}
				frames++
			}
		}
	}
	return frames, gaps
}
