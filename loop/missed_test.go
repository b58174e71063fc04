package loop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// gapNotice is the notice of what a client has missed, between positions as positionsOf reads them.
func gapNotice(room, from, to string) string {
	return string(wire.AppendGap(nil, room, positionsOf(from), positionsOf(to)))
}

// TestTooOldJoins: a client whose position cannot be gone on from is in the room all the
// same, whatever its class: it hears why, and up to where it has missed what came, and
// then gets all that comes. From the oldest position that there is it gets that as well.
func TestTooOldJoins(t *testing.T) {
	w := newWorld(t, Config{Wildcards: 1})
	keyed := w.talk()
	for i, name := range []string{"all", "own:a", "wild:a", "few:x"} {
		w.publish(fmt.Sprint(i), name, name)
	}
	w.publishKey("a", "last", "last") // 9
	w.setLow(5)
	const why = " but position too old: the topic begins later"
	for _, name := range []string{"all", "few:x"} {
		c := w.talk()
		c.hears("since "+name+"=e1:1", "since "+name+`{"epoch":"e1","0":8}`+why, gapNotice(name, "e1:1", "e1:8"))
		c.hears("list", "list "+name+`{"epoch":"e1","0":8}`)
	}
	if gaps := w.engine.Stats().Gaps; gaps != 2 {
		t.Errorf("%d gaps are counted", gaps)
	}
	own := w.talk() // its frames are kept whether anybody is there or not
	own.hears("since own:a=e1:99", `since own:a{"epoch":"e1","0":8} but position too old: the topic is shorter`,
		gapNotice("own:a", "e1:99", "e1:8"))
	w.publish(`"more"`, "own:a") // 9
	own.hears("", `"more"`)
	own.hears("leave own:a", `leave own:a{"epoch":"e1","0":9}`)
	own.hears("since own:a=e1:4", `since own:a{"epoch":"e1","0":4}`, `"more"`)

	c := w.talk()
	c.hears("since wild:*>wild:a=e1:1", `since wild:*(false true wild:a{"epoch":"e1","0":9}`+why+")",
		gapNotice("wild:a", "e1:1", "e1:9"))
	w.publish(`"more"`, "wild:a")
	c.hears("", `"more"`)

	// Where keys are wanted, it is those keys that it gets on.
	keyed.hears("since all=e1:1/k", `since all{"epoch":"e1","0":10}`+why, gapNotice("all", "e1:1", "e1:10"))
	w.publishKey("j", `"none"`, "all")
	w.publishKey("k", `"one"`, "all")
	keyed.hears("", `"one"`)
}

// TestTimeTooOld: a client that goes on from a time since which Kafka may have deleted messages
// is told so of each room, and misses what came from the oldest there is up to the seam.
func TestTimeTooOld(t *testing.T) {
	at := positionsOf("e1:1")
	w := newWorld(t, Config{Wildcards: 1,
		PositionsAt: func(_ *rooms.Pattern, ms int64, _ string, done func(rooms.Positions, error)) {
			if ms < 9 {
				done(at, &rooms.TooOldError{Oldest: at, Why: "messages may be gone"})
				return
			}
			done(at, nil)
		}})
	w.talk("wild:a", "all")
	for i := range 3 {
		w.publish(fmt.Sprint(i), "wild:a", "all") // 0 to 5
	}
	w.settle()
	const why = " but position too old: messages may be gone"
	w.talk().hears("since all=@8", `since all{"epoch":"e1","0":5}`+why, gapNotice("all", "e1:1", "e1:5"))
	w.talk().hears("since all=@9", `since all{"epoch":"e1","0":1}`, "1", "2")
	w.talk().hears("since wild:*=@8", `since wild:*(false true`+why+` wild:a{"epoch":"e1","0":5}`+why+")",
		gapNotice("wild:a", "e1:1", "e1:5"))
	w.talk().hears("since wild:*=@9", `since wild:*(false true wild:a{"epoch":"e1","0":1})`, "1", "2")
}

// TestTooOldTold: of a thousand rooms that cannot be gone on from each is told of, and the
// client is not closed for it.
func TestTooOldTold(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish("0", "all")
	const n = 1000
	var ask []string
	for i := range n {
		ask = append(ask, fmt.Sprintf("wild:%d=e0:1", i))
	}
	c := w.talk()
	c.ask("since "+strings.Join(ask, ","), "since wild:0")
	told := map[string]bool{}
	for range n {
		told[c.expect(`{"jsonrpc":"2.0","method":"gap","params":{"room":"wild:`)] = true
	}
	if len(told) != n {
		t.Errorf("%d rooms were told of", len(told))
	}
	c.hears("list", c.ask("list", "list"))
}

// TestGapsOfManyRooms: a client that lags in a thousand rooms at once hears of each gap, and
// is not closed for it.
func TestGapsOfManyRooms(t *testing.T) {
	w := newWorld(t, Config{Loops: 1}, &rooms.Class{Name: "stream", RetainAge: 20 * time.Millisecond})
	const n = 1000
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("wild:", i))
	}
	c := w.talk()
	c.ask("join "+strings.Join(names, ","), "join wild:0")
	held, on := make(chan struct{}), make(chan struct{})
	l := w.engine.loops[0]
	l.post(event{kind: evDo, arg: func(*Loop) { close(held); <-on }})
	<-held
	w.publish("1", names...)
	members := l.life.conns[0].members
	w.await(func() bool {
		return !slices.ContainsFunc(members, func(t member.Member) bool { return t.Room().Tail() == 0 })
	})
	close(on)
	told := map[string]bool{}
	for range n {
		told[c.expect(`{"jsonrpc":"2.0","method":"gap","params":{"room":"wild:`)] = true
	}
	if len(told) != n {
		t.Errorf("%d rooms were told of", len(told))
	}
	// Figures are published at the end of a turn, perhaps behind what it sent.
	w.await(func() bool { s := w.engine.Stats(); return s.Gaps == n && s.GapFrames == n })
	w.publish(`"more"`, names[n-1])
	c.hears("", `"more"`)
}

// TestTooOldBook: a client whose position in a book cannot be gone on from begins at the newest
// full one, or waits for the next.
func TestTooOldBook(t *testing.T) {
	w := newWorld(t, Config{})
	stay := w.talk("book")
	w.publishKey("full", `"full"`, "book")
	w.publishKey("change", `"change"`, "book")
	stay.read() // that it has waited
	stay.hears("", `"full"`, `"change"`)
	const why = " but position too old: the topic is shorter"
	c := w.talk()
	c.hears("since book=e1:99", `since book{"epoch":"e1","0":-1}`+why, gapNotice("book", "e1:99", "e1:-1"),
		`"full"`, `"change"`)

	none := newWorld(t, Config{})
	stay = none.talk("book")
	none.publishKey("change", `"change"`, "book")
	stay.ask("list", "list")
	d := none.talk()
	d.hears("since book=e1:99", `since book{"epoch":"e1","0":0}`+why, gapNotice("book", "e1:99", "e1:0"))
	none.publishKey("change", `"change"`, "book")
	none.publishKey("full", `"full"`, "book")
	d.hears("", `{"jsonrpc":"2.0","method":"gap","params":{"room":"book","from":{"epoch":"e1"},"to":{"epoch":"e1",`+
		`"0":1}}}`, `"full"`)
}
