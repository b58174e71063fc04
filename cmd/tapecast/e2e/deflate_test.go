package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

const deflateConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, send_buffer: 16KiB, notsent_lowat: 16KiB}
classes:
  small: {compress: true, retain: {bytes: 16MiB, age: 1m}}
  quick:
    {compress: true, conflate: true, snapshot: true, conflate_after: {bytes: 16KiB}, retain: {bytes: 256KiB, age: 2s}}
  plain: {retain: {bytes: 16MiB, age: 1m}}
rooms:
  - {match: "depth", class: small}
  - {match: "quotes", class: quick}
  - {match: "trades", class: plain}
auto_join: []
ingest:
  routes:
    - {topic: deep, rooms: [depth, trades], key: "{@key}", type: depth}
    - {topic: deep, rooms: [quotes], key: "{@key}", type: quote}
`

// TestDeflatedMembers: some clients take deflated frames, and some of those leave and come back,
// or stall. All get the same: each record of a stream, and the newest values of a conflated room.
func TestDeflatedMembers(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "deep", 3)
		g := start(t, config(k, deflateConfig))
		open := func(i int) *client { return g.opens(t, i) }
		var stay []*client
		for i := range 8 {
			stay = append(stay, open(i))
		}
		w := k.producer(t)
		rnd := rand.New(rand.NewPCG(7, 7))
		send := func(n int) {
			for range n {
				key := fmt.Sprint("k", rnd.IntN(30))
				size := rnd.IntN(1 + rnd.IntN(4000))
				w.send("deep", partitionOf(key, 3), []byte(key), fmt.Appendf(nil, `{"book":%q}`, marketText(rnd, size)))
			}
			w.flush()
		}
		for round := range 5 {
			send(200)
			guest := open(8 + round)
			if round%2 == 0 { // it lags, then goes on
				stay[round].reading.Lock()
				send(500)
				eventually(t, patience, "the gateway has it", func() bool {
					return g.metric("tapecast_ingest_records_total") >= float64(w.sent.Load())
				})
				stay[round].reading.Unlock()
			}
			send(100)
			guest.conn.Close()
		}
		topic := k.read(t, "deep")
		total := 0
		for _, recs := range topic {
			total += len(recs)
		}
		for i, c := range stay {
			deflatedWhole(t, i, c, topic, total)
		}
		frames, from, to := g.metric("tapecast_deflated_frames_total"), g.metric("tapecast_deflated_from_bytes_total"),
			g.metric("tapecast_deflated_to_bytes_total")
		t.Logf("%v frames of %v bytes were deflated to %v", frames, from, to)
		if frames != 2*float64(total) || to >= from {
			t.Errorf("%v frames deflated, from %v bytes to %v; %d records were sent to two rooms",
				frames, from, to, total)
		}
	})
}

// opens connects a client to the three rooms; every second one takes deflated frames.
func (g *gateway) opens(t *testing.T, i int) *client {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("d", i)), deflate: i%2 == 0})
	for _, r := range roomReplies(c.call("subscribe",
		map[string]any{"rooms": []string{"depth", "quotes", "trades"}}).Result) {
		if r.Error != nil {
			t.Fatalf("%+v", r)
		}
	}
	return c
}

// deflatedWhole: a client has all records and the newest values, most of them deflated if it asked
// for that. Then it hangs up.
func deflatedWhole(t *testing.T, i int, c *client, topic [][]record, total int) {
	t.Helper()
	end := ends(topic)
	c.awaitFor(patience, "all records", func() bool {
		return len(c.rooms["depth"].frames) == total && len(c.rooms["trades"].frames) == total &&
			maps.Equal(newestOf(c.rooms["quotes"].values), compacted(topic, end))
	})
	c.check()
	if c.deflate != (i%2 == 0) {
		t.Errorf("client %d: permessage-deflate is agreed on: %v", i, c.deflate)
	}
	c.mu.Lock()
	small := c.small
	c.mu.Unlock()
	if c.deflate != (small > total/2) {
		t.Errorf("client %d got %d of %d messages deflated", i, small, total)
	}
	c.conn.Close()
}
