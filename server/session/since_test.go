package session

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestRecovered: every join with a position says whether the client gets all that came
// since; where it does not, it is in the room all the same, and why is beside it.
func TestRecovered(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, tokenOf(t, "42", time.Hour), "join=manual")
	oldest := rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Partition: 0, Offset: 5}}}
	away := &rooms.NotNowError{Why: "Kafka is away", RetryAfter: time.Second}
	c.refuse = map[string]error{
		"orders:42": &rooms.TooOldError{Oldest: oldest}, "trades:B": &rooms.TooOldError{Oldest: oldest},
		"user:42": away, "trades:C": away,
	}
	c.take()
	const (
		old = `"error":{"code":-32008,"message":"position too old: the gateway no longer holds what came after it",` +
			`"data":{"oldest":{"epoch":"e1","0":5}}}`
		later = `"error":{"code":-32010,"message":"not now: Kafka is away","data":{"retryAfter":1000}}`
		at    = `"chain":true,"positions":{"epoch":"e1","0":7}`
		from  = `{"epoch":"e1","0":3}`
	)
	got := c.says(`{"method":"authenticate","params":{"join":["trades","orders:42","user:42","prices"],"since":{` +
		`"trades":` + from + `,"orders:42":{"ts":1699123456789},"user:42":` + from + `}},"id":2}`)
	want := `{"globalRooms":["trades","prices"],"userRooms":["orders:42"],"totalRooms":3,` +
		`"class":{"trades":"stream","orders:42":"private","prices":"market"},"chain":{"trades":true,"orders:42":true,` +
		`"prices":false},"positions":{` +
		`"trades":{"epoch":"e1","0":7},"orders:42":{"epoch":"e1","0":7},"prices":{"epoch":"e1","0":7}},` +
		`"recovered":{"trades":true,"orders:42":false},` +
		`"errors":[{"room":"orders:42","recovered":false,` + old + `},{"room":"user:42",` + later + `}]}}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	got = c.says(`{"method":"subscribe","params":{"rooms":["trades:A","trades:B","trades:C","trades:D"],"since":{` +
		`"trades:A":` + from + `,"trades:B":` + from + `,"trades:C":` + from + `}},"id":3}`)
	want = `{"jsonrpc":"2.0","id":3,"result":{"rooms":[` +
		`{"room":"trades:A","status":"joined","class":"stream",` + at + `,"recovered":true},` +
		`{"room":"trades:B","status":"joined","class":"stream",` + at + `,"recovered":false,` + old + `},` +
		`{"room":"trades:C",` + later + `},` +
		`{"room":"trades:D","status":"joined","class":"stream",` + at + `}]}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := sessionOf(c).rooms; n != 6 {
		t.Errorf("%d rooms are counted, six were joined", n)
	}
}

// TestSinceElsewhere: a position of a room that the request does not join is answered, and
// does not keep a client from being let in.
func TestSinceElsewhere(t *testing.T) {
	h := wildcardHandler(t)
	c := dial(t, h, tokenOf(t, "42", time.Hour), "join=manual")
	c.take()
	const from = `{"epoch":"e1","0":3}`
	got := c.says(`{"method":"authenticate","params":{"join":["trades"],"since":{"trades":` + from +
		`,"trades:B":{"ts":1699123456789},"trades:A":` + from + `}},"id":2}`)
	stray := func(room string) string {
		return `{"room":"` + room + `","error":{"code":-32602,"message":"invalid params: params.since[\"` + room +
			`\"]: the room is not joined on authentication: send its position with subscribe"}}`
	}
	want := `"totalRooms":1,"class":{"trades":"stream"},"chain":{"trades":true},"positions":{"trades":{"epoch":"e1",` +
		`"0":7}},"recovered":{"trades":true},"errors":[` + stray("trades:A") + "," + stray("trades:B") + `]}}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	f := func(names, since, want string) {
		t.Helper()
		got := c.says(`{"method":"subscribe","params":{"rooms":[` + names + `],"since":` + since + `},"id":1}`)
		if !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), want) {
			t.Errorf("%s since %s\ngot  %s\nwant … %s", names, since, got, want)
		}
	}
	no := func(room string) string {
		return `"error":{"code":-32602,"message":"invalid params: params.since["` + room +
			`"]: the room is not joined by this request: name it in params.rooms"}}`
	}
	f(`"trades:A"`, `{"trades:C":`+from+`,"trades:B":`+from+`}`, no("trades:B"))
	f(`"trades:A"`, `{"trades:B":{"ts":1699123456789}}`, no("trades:B"))
	f(`"trades:A*"`, `{"trades:B":`+from+`}`, no("trades:B"))
	f(`"prices:x:*"`, `{"prices:y":`+from+`}`, no("prices:y"))
	f(`"prices:x:*"`, `{"prices:x:":`+from+`}`, no("prices:x:")) // which is of prices:*
	if len(c.in) != 1 {
		t.Errorf("in %q", c.in)
	}
	f(`"prices:x:*"`, `{"prices:x:1":`+from+`}`, `"status":"joined"`)
	f(`"prices:*"`, `{"prices:y":`+from+`}`, "write more before the star") // its own error says it
	f(`"nope"`, `{"nope":`+from+`}`, "unknown room")
	// A position without an epoch is one that its room answers.
	c.refuse = map[string]error{"trades:A": &rooms.TooOldError{Why: "it names no epoch"}}
	f(`"trades:A"`, `{"trades:A":{}}`,
		`"recovered":false,"error":{"code":-32008,"message":"position too old: it names no epoch"`)
	c.says(`{"method":"unsubscribe","params":{"rooms":["trades:A"]},"id":1}`)
	f(`"trades:A"`, `{"trades:A":{"0":3}}`, `"recovered":false`)
	// Partitions have one spelling.
	for _, part := range []string{"00", "+1", "01", "-0", "1 ", ""} {
		f(`"trades:D"`, `{"trades:D":{"epoch":"e1","`+part+`":3}}`, "partition numbers as names")
	}
}

// TestAlreadyIn: a room that the client is in is not a fault; the answer has what holds there.
func TestAlreadyIn(t *testing.T) {
	h := newTestHandler(t)
	c := login(t, h, "42")
	n := sessionOf(c).rooms
	f := func(text, want string) {
		t.Helper()
		if got := c.says(text); !strings.HasSuffix(got, want) {
			t.Errorf("%s\ngot  %s\nwant … %s", text, got, want)
		}
	}
	const tail = `"positions":{"epoch":"e1","0":7}}]}}`
	f(`{"method":"subscribe","params":{"rooms":["trades"],"keys":["X"],"max_rate":7,"since":{"trades":{"epoch":"e1",`+
		`"0":3}}},"id":1}`,
		`{"room":"trades","status":"joined","class":"stream","chain":true,"already":true,`+tail)
	c.keys, c.every = []string{"a", "b\""}, time.Second/3
	f(`{"method":"subscribe","params":{"rooms":["trades"]},"id":1}`,
		`"already":true,"keys":["a","b\""],"max_rate":3,`+tail)
	c.keys, c.every = nil, 1000*time.Second
	f(`{"method":"subscribe","params":{"rooms":["trades"]},"id":1}`, `"already":true,"max_rate":0.001,`+tail)
	f(`{"method":"subscribe","params":["trades"],"id":1}`, `"result":null}`)
	if sessionOf(c).rooms != n {
		t.Errorf("%d rooms are counted, not %d", sessionOf(c).rooms, n)
	}
}

// TestSinceNext: a position may be in the convention of Kafka's consumers, of a room or a wildcard and its
// rooms. A topic id stands for the epoch that the topic has now.
func TestSinceNext(t *testing.T) {
	h := wildcardHandler(t)
	p, _, _ := h.catalog.Resolve("trades:AB")
	p.Feed = rooms.NewFeed("trades")
	p.Feed.Identify("T1", "e1")
	p.Feed.Open("e1", 2)
	c := login(t, h, "42")
	f := func(room, since string, want rooms.Positions) {
		t.Helper()
		c.says(`{"method":"subscribe","params":{"rooms":["trades:A*"],"since":{"` + room + `":` + since + `}},"id":1}`)
		r := c.asked[len(c.asked)-1]
		got := r.SinceByRoom[room]
		if r.Since != nil {
			got = *r.Since
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s in %s: %+v, want %+v", since, room, got, want)
		}
	}
	at := func(epoch string, offset int64) rooms.Positions {
		return rooms.Positions{Epoch: epoch, Offsets: []rooms.Pos{{Partition: 1, Offset: offset}}}
	}
	for _, room := range []string{"trades:A*", "trades:AB"} {
		f(room, `{"topicId":"T1","next":{"1":6}}`, at("e1", 5))
		f(room, `{"topicId":"T1","next":{"1":0}}`, at("e1", -1))
		f(room, `{"topicId":"T2","next":{"1":6}}`, at("T2", 5)) // no such epoch: -32008
		f(room, `{"epoch":"e0","next":{"1":6}}`, at("e0", 5))
		f(room, `{"topicId":"T1","next":{}}`, rooms.Positions{Epoch: "e1"})
	}
	bad := func(since, why string) {
		t.Helper()
		got := c.says(`{"method":"subscribe","params":{"rooms":["trades:AB"],"since":{"trades:AB":` + since +
			`}},"id":1}`)
		if !strings.Contains(got, `"code":-32602`) || !strings.Contains(got, why) {
			t.Errorf("%s is answered %s", since, got)
		}
	}
	bad(`{"next":{"1":6}}`, "needs the topicId or the epoch")
	bad(`{"topicId":"T1","epoch":"e1","next":{"1":6}}`, "needs the topicId or the epoch")
	bad(`{"topicId":1,"next":{"1":6}}`, "not a string")
	bad(`{"topicId":"T1","next":{"1":-1}}`, "below 0")
	bad(`{"topicId":"T1","next":{"x":1}}`, ".next must have partition numbers")
	bad(`{"topicId":"T1","next":[]}`, ".next must be an object")
}
