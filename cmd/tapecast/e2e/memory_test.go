package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// memoryConfig has little memory, and few rooms of a pattern.
func memoryConfig(k *cluster) string {
	kafka := strings.Replace(kafkaSection(k), "kafka: {", "kafka: {dead_letter: dead, ", 1)
	return config(k, "\n"+kafka+`
memory: {tapes: 8MiB, last_values: 3MiB}
limits: {messages_per_second: 0, request_cost: 0}
rooms:
  - {match: "deals:*", class: stream, max_rooms: 1100}
  - {match: "orders:{owner}", class: private}
  - {match: "portfolio:{owner}", class: state}
auto_join: []
ingest:
  routes:
    - {topic: deals, rooms: ["deals:{s}"], type: deal}
    - {topic: orders, rooms: ["orders:{@key}"], type: order}
    - {topic: portfolios, rooms: ["portfolio:{@key}"], key: "{asset}", type: balance}
`)
}

// feed writes n records of a topic with a field s.
func feed(w *producer, topic, s string, n int) {
	for i := range n {
		w.send(topic, 0, []byte(s), fmt.Appendf(nil, `{"s":%q,"n":%d}`, s, i))
	}
	w.flush()
}

// TestLastValuesOverBudget: portfolios at three times memory.last_values, and more than
// memory.tapes. Every trade and every order arrives. Health says what is wrong, and the node
// stays ready. A join of a room that lacks its value says partial.
func TestLastValuesOverBudget(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"deals", "orders", "portfolios"} {
		k.topic(t, topic, 1)
	}
	g := start(t, memoryConfig(k))
	c := join(t, g, "a1")
	c.call("subscribe", map[string]any{"rooms": []string{"deals:A", "orders:a1", "portfolio:a1"}})
	w := k.producer(t)
	filler := strings.Repeat("x", 220)
	w.send("portfolios", 0, []byte("a1"), []byte(`{"asset":"BTC","n":1}`))
	for i := range 20_000 {
		w.send("portfolios", 0, fmt.Appendf(nil, "user%d", i), fmt.Appendf(nil, `{"asset":"BTC","x":%q}`, filler))
	}
	w.flush()
	eventually(t, patience, "last values over their budget",
		func() bool { return g.metric("tapecast_last_values_evicted_total") > 10_000 })
	feed(w, "deals", "A", 20)
	feed(w, "orders", "a1", 20)
	c.await("every trade and order", func() bool {
		return len(c.rooms["deals:A"].frames) == 20 && len(c.rooms["orders:a1"].frames) == 20
	})
	eventually(t, patience, "health that tells", func() bool {
		status, body := g.get("/health")
		return status == 200 && strings.Contains(body, "memory.last_values")
	})
	if status, _ := g.get("/readyz"); status != 200 {
		t.Errorf("readyz answers %d", status)
	}
	if got, most := g.metric("tapecast_last_values_bytes"),
		1.1*g.metric("tapecast_last_values_budget_bytes"); got > most {
		t.Errorf("last values take %.0f bytes, more than %.0f", got, most)
	}
	if n := g.metric("tapecast_tape_shed_total"); n > 0 && g.metric("tapecast_tape_bytes") < 4<<20 {
		t.Errorf("%.0f chunks were shed", n)
	}
	partial := func(user string) bool {
		r := join(t, g, user).call("subscribe", map[string]any{"rooms": []string{"portfolio:" + user}})
		return strings.Contains(string(r.Result), `"partial":true`)
	}
	// Some younger ones may be called partial although they are whole: see rooms.Table.Partial.
	if !partial("user0") {
		t.Error("the oldest portfolio is said to be whole")
	}
}

// TestNamesNobodyFeeds: 20 connections of one user ask for 1,000 invented names each. They hinder
// neither records of real names nor other users. Then real names use up max_rooms, and the record
// of one more is a bad one.
func TestNamesNobodyFeeds(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"deals", "orders", "portfolios", "dead"} {
		k.topic(t, topic, 1)
	}
	g := start(t, memoryConfig(k))
	b := join(t, g, "b1")
	b.call("subscribe", map[string]any{"rooms": []string{"deals:*"}})
	refused := 0
	for i := range 20 {
		names := make([]string, 1000)
		for n := range names {
			names[n] = fmt.Sprintf("deals:JUNK%d_%d", i, n)
		}
		r := join(t, g, "m1").call("subscribe", map[string]any{"rooms": names})
		refused += strings.Count(string(r.Result), "-32009")
	}
	if refused != 19_000 {
		t.Errorf("%d names were refused", refused)
	}
	if n := g.metric("tapecast_limited_total", `limit="empty_rooms"`); n != 19 {
		t.Errorf("%.0f requests were counted", n)
	}
	a := join(t, g, "a1")
	var got struct{ Rooms []struct{ Status string } }
	r := a.call("subscribe", map[string]any{"rooms": []string{"deals:BTC", "deals:ETH"}})
	if err := json.Unmarshal(r.Result, &got); err != nil || len(got.Rooms) != 2 || got.Rooms[1].Status != "joined" {
		t.Errorf("another user is answered %s", r.Result)
	}
	w := k.producer(t)
	feed(w, "deals", "BTC", 5)
	feed(w, "deals", "ETH", 5)
	for _, c := range []*client{a, b} {
		c.await("records of real names", func() bool {
			x, y := c.rooms["deals:BTC"], c.rooms["deals:ETH"]
			return x != nil && y != nil && len(x.frames) == 5 && len(y.frames) == 5
		})
	}
	for i := range 1100 {
		w.send("deals", 0, []byte("k"), fmt.Appendf(nil, `{"s":"R%d"}`, i))
	}
	w.flush()
	eventually(t, patience, "records that get no room", func() bool {
		return g.metric("tapecast_ingest_bad_total", `reason="max_rooms"`) == 2 &&
			g.metric("tapecast_ingest_dead_letters_total") == 2
	})
	line := g.waitLog(patience, "bad record skipped", nil)
	if line["reason"] != "max_rooms" || line["topic"] != "deals" || line["offset"] == nil {
		t.Errorf("the log has %v", line)
	}
	dead := k.read(t, "dead")
	if n := len(dead[0]); n != 2 || !strings.HasPrefix(string(dead[0][0].value), `{"s":"R`) ||
		!strings.HasPrefix(string(dead[0][0].key), "deals:0:") {
		t.Errorf("%d dead letters, %+v", n, dead[0])
	}
}
