package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const costsConfig = `
limits: {} # as they are without being set
rooms:
  - {match: "quotes", class: market}
  - {match: "ticks:*", class: stream}
  - {match: "mine:{owner}", class: private}
auto_join: []
ingest:
  routes:
    - {topic: quotes, rooms: [quotes], key: "{@key}"}
    - {topic: ticks, rooms: ["ticks:{@key}"]}
    - {topic: mine, rooms: ["mine:{@key}"]}
`

// retryOf returns when an error says to ask again; 0: it does not say.
func retryOf(e *rpcError) int {
	if e == nil {
		return 0
	}
	var d struct{ RetryAfter int }
	json.Unmarshal(e.Data, &d)
	return d.RetryAfter
}

// ended reports whether the client's connection is over.
func ended(c *client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// push sends a request on a connection that may be closed meanwhile.
func push(c *client, id int, method string, params any) {
	b, _ := json.Marshal(map[string]any{"method": method, "params": params, "id": id})
	ws.WriteFrame(c.conn, ws.MaskFrameInPlace(ws.NewTextFrame(b)))
}

// TestSnapshotToggled: a client joins and leaves a large room as often as it may send. It is
// given a snapshot now and then, not each time. The limits are the defaults.
func TestSnapshotToggled(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"quotes", "ticks", "mine"} {
		k.topic(t, topic, 1)
	}
	g := start(t, config(k, costsConfig))
	stay := dial(t, g, dialing{query: "?token=" + g.token("b1")})
	stay.call("subscribe", map[string]any{"rooms": []string{"quotes"}, "snapshot": false})
	w := k.producer(t)
	const keys = 4000
	for i := range keys {
		w.send("quotes", 0, fmt.Append(nil, "k", i),
			fmt.Appendf(nil, `{"i":%d,"pad":%q}`, i, strings.Repeat("x", 1000)))
	}
	w.flush()
	stay.awaitFor(time.Minute, "all values", func() bool { return len(stay.rooms["quotes"].frames) >= keys })

	c := dial(t, g, dialing{query: "?token=" + g.token("a1")})
	before, sent := g.metric("tapecast_snapshots_total"), g.metric("tapecast_bytes_sent_total")
	begun := time.Now()
	const toggles = 45
	refused := 0
	tick := time.NewTicker(time.Second / 25)
	defer tick.Stop()
	for i := range toggles {
		r := c.call("subscribe", map[string]any{"rooms": []string{"quotes"}})
		if list := roomReplies(r.Result); len(list) == 1 && list[0].Error != nil {
			if list[0].Error.Code != -32004 || retryOf(list[0].Error) <= 0 {
				t.Fatalf("got %+v", list[0].Error)
			}
			refused++
		}
		<-tick.C
		if ended(c) {
			t.Fatalf("closed at %d", i)
		}
		c.call("unsubscribe", map[string]any{"rooms": []string{"quotes"}})
	}
	took := time.Since(begun).Seconds()
	// One at once, and one more for each 4 s (64 MiB a minute) of the run.
	most := 2 + took/3
	if n := g.metric("tapecast_snapshots_total") - before; n > most || n < 1 || refused == 0 {
		t.Errorf("%v snapshots in %.1f s and %d joins, %d refused", n, took, toggles, refused)
	}
	if mb := (g.metric("tapecast_bytes_sent_total") - sent) / 1e6; mb > 4.5*most {
		t.Errorf("%.1f MB were sent", mb)
	}
	if g.metric("tapecast_limited_total", `limit="snapshot_bytes"`) == 0 {
		t.Error("not counted")
	}
	g.waitLog(patience, "limit reached", func(l logLine) bool { return l["limit"] == "snapshot_bytes" })
}

// TestManyRoomsToggled: 1,000 rooms in one request are fine, with all values as they come. A
// client that toggles them is told to wait, and is closed at last. Another client's messages
// come meanwhile.
func TestManyRoomsToggled(t *testing.T) {
	k := fakeCluster(t)
	for _, topic := range []string{"quotes", "ticks", "mine"} {
		k.topic(t, topic, 1)
	}
	g := start(t, config(k, costsConfig))
	other := dial(t, g, dialing{query: "?token=" + g.token("b1")})
	other.call("subscribe", map[string]any{"rooms": []string{"mine:b1"}})
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("ticks:%d", i)
	}
	c := dial(t, g, dialing{query: "?token=" + g.token("a1")})
	r := c.call("subscribe", map[string]any{"rooms": names})
	if list := roomReplies(r.Result); len(list) != len(names) {
		t.Fatalf("%d rooms in the reply: %+v", len(list), r.Error)
	}
	w := k.producer(t)
	for i := range names {
		w.send("ticks", 0, fmt.Append(nil, i), []byte(`{"n":1}`))
	}
	w.flush()
	c.await("one record of each room", func() bool {
		for _, name := range names {
			if len(c.rooms[name].frames) != 1 {
				return false
			}
		}
		return true
	})
	c.check()

	c = dial(t, g, dialing{query: "?token=" + g.token("a2")})
	told := false
	tick := time.NewTicker(time.Second / 48)
	defer tick.Stop()
	for i := 0; i < 400 && !ended(c); i++ {
		method := [...]string{"subscribe", "unsubscribe"}[i%2]
		push(c, 1000+i, method, map[string]any{"rooms": names})
		if i%10 == 0 {
			w.send("mine", 0, []byte("b1"), fmt.Appendf(nil, `{"n":%d}`, i))
			w.flush()
		}
		c.mu.Lock()
		for _, r := range c.replies {
			told = told || r.Error != nil && r.Error.Code == -32004 && retryOf(r.Error) > 0
		}
		c.mu.Unlock()
		<-tick.C
	}
	if code := c.awaitClose(patience); code != 4108 || !told {
		t.Errorf("closed with %d, told before: %v", code, told)
	}
	other.await("an order", func() bool { return len(other.rooms["mine:b1"].frames) > 0 })
}

// TestRequestsBehindAJoin: while Kafka is away and a join waits for it, the client's next
// requests are kept up to a bound. A ping is answered meanwhile.
func TestRequestsBehindAJoin(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	k := &cluster{kind: "kfake", brokers: strings.Join(kafka.ListenAddrs(), ","), n: 1}
	for _, topic := range []string{"quotes", "ticks", "mine"} {
		k.topic(t, topic, 1)
	}
	g := start(t, config(k, costsConfig))
	c := dial(t, g, dialing{query: "?token=" + g.token("a1")})
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	kafka.ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		<-hold // this holds the whole broker
		return nil, nil, false
	})
	since := map[string]any{"ticks:1": map[string]any{"ts": time.Now().Add(-time.Hour).UnixMilli()}}
	c.request("77", "subscribe", map[string]any{"rooms": []string{"ticks:1"}, "since": since})
	heap := g.heap()
	pad := strings.Repeat("x", 60_000)
	begun := time.Now()
	pings := 0
	tick := time.NewTicker(time.Second / 49)
	defer tick.Stop()
	for i := 0; i < 400 && !ended(c) && time.Since(begun) < 10*time.Second; i++ {
		push(c, 1000+i, "subscribe", map[string]any{"rooms": []string{"ticks:2"}, "pad": pad})
		if i == 20 {
			r := c.call("ping", nil)
			if pings++; r.Error != nil && r.Error.Code != -32004 {
				t.Errorf("a ping got %+v", r.Error)
			}
		}
		<-tick.C
	}
	if code := c.awaitClose(patience); code != 4108 || pings == 0 {
		t.Errorf("closed with %d, %d pings", code, pings)
	}
	if n := g.metric("tapecast_limited_total", `limit="waiting_requests"`); n == 0 {
		t.Error("not counted")
	}
	if grown := g.heap() - heap; grown > 16<<20 {
		t.Errorf("%.1f MB are kept", grown/1e6)
	}
}
