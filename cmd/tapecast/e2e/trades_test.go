package e2e

import (
	"fmt"
	"testing"
	"time"
)

const tradeConfig = `
rooms:
  - {match: "trades", class: stream}
  - {match: "trades:*", class: stream}
auto_join: [trades]
ingest:
  routes:
    - {topic: trades, rooms: [trades], key: "{s}", type: trade_update}
`

// TestTradesByteForByte is the main task: the recorded trades go into Kafka at 20 times their real
// pace, and every client gets every one of them, unchanged, in order, with an unbroken chain.
func TestTradesByteForByte(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		sc := scaled()
		max, conns := sc.tradeRows, sc.tradeConns
		if k.kind == "kfake" {
			max, conns = sc.smallRows, sc.smallConns
		}
		rows := trades(t, max)
		const partitions = 3
		want := make([][][]byte, partitions)
		for _, r := range rows {
			p := partitionOf(r.key, partitions)
			want[p] = append(want[p], r.payload)
		}

		k.topic(t, "trades", partitions)
		g := start(t, config(k, tradeConfig))
		full := join(t, g, "the-recorder")
		clients := g.leanClients(t, conns, want)

		w := k.producer(t)
		began := time.Now()
		pace(rows, 20, func(r row) bool {
			w.send("trades", partitionOf(r.key, partitions), []byte(r.key), r.payload)
			return true
		})
		w.flush()
		produced := time.Since(began)

		late := time.NewTimer(2 * time.Minute)
		defer late.Stop()
		for i, c := range clients {
			select {
			case <-c.done:
			case <-late.C:
				t.Fatalf("client %d has %d of %d", i, c.got.Load(), c.total)
			}
			if c.fault != nil {
				t.Fatalf("client %d: %v", i, c.fault)
			}
		}
		full.awaitFor(patience, "the last trade", func() bool { return len(full.rooms["trades"].frames) >= len(rows) })
		t.Logf("%d rows in %s, delivered to %d clients by %s", len(rows), produced.Round(time.Millisecond), conns,
			time.Since(began).Round(time.Millisecond))

		sameAsTopic(t, full, "trades", k.read(t, "trades"))
		full.check()
		if n := g.metric("tapecast_slow_total"); n != 0 && k.kind == "kafka" {
			t.Logf("%v members lagged", n)
		}
	})
}

// leanClients connects n clients that compare what comes with what is wanted, and waits until all
// have joined.
func (g *gateway) leanClients(t *testing.T, n int, want [][][]byte) []*leanClient {
	t.Helper()
	clients := make([]*leanClient, n)
	for i := range clients {
		c, err := dialLean(g, fmt.Sprint("u", i), want)
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = c
	}
	join := time.NewTimer(patience)
	defer join.Stop()
	for _, c := range clients {
		select {
		case <-c.joined:
		case <-c.done:
			t.Fatal(c.fault)
		case <-join.C:
			t.Fatal("not joined in time")
		}
	}
	return clients
}
