package e2e

import (
	"testing"
	"time"
)

// stormSize is how much of everything a storm has.
type stormSize struct {
	users, stayed          int
	tradeParts, orderParts int
	behind, over           time.Duration // how long the clients miss, and in which time they come
	orders                 float64       // a second
	retain                 string
	full                   bool
}

func stormSizeOf(k *cluster) stormSize {
	size := stormSize{users: 150, stayed: 10, tradeParts: 3, orderParts: 16, behind: 3 * time.Second, orders: 100,
		retain: "1s"}
	if k.full() {
		size = stormSize{users: 15_000, stayed: 300, tradeParts: 3, orderParts: 16, behind: 30 * time.Second,
			over: 5 * time.Second, orders: 500, retain: "10s", full: true}
	}
	if n := scaled().partitions; n > 0 {
		size.tradeParts, size.orderParts = n, n
		size.retain = "20s" // the more partitions, the longer a member waits for what is read again
	}
	return size
}

// stormFigures is how a storm went. The latencies are of the clients that stayed: before it, in it,
// and in the 10 s after it.
type stormFigures struct {
	stormSize
	heap, rss, peak          float64 // of the node that all come to; before it, and at most
	began                    time.Time
	came, caught             time.Duration // when all were connected, and had caught up
	calmTrades, calmOrders   []time.Duration
	stormTrades, stormOrders []time.Duration
	laterTrades, laterOrders []time.Duration
}

func (went *stormFigures) log(t *testing.T, b *gateway, levels string) {
	t.Helper()
	t.Logf("%d clients came in %s, each %s behind; all had caught up %s after the node was lost; each after its "+
		"connect: %s",
		went.users, went.came.Round(time.Millisecond), went.behind, went.caught.Round(time.Millisecond), levels)
	t.Logf("%d who stayed, from the producer to the socket: orders %s; in the %s before %s", went.stayed,
		spread(went.stormOrders), went.behind, spread(went.calmOrders))
	t.Logf("their trades, a room that is %d by then: %s; before %s", went.stayed+went.users,
		spread(went.stormTrades), spread(went.calmTrades))
	t.Logf("%v records were read again in %v reads and %v windows, for %v who asked",
		b.metric("tapecast_recall_records_total"), b.metric("tapecast_recall_reads_total"),
		b.metric("tapecast_recall_windows_total"), b.metric("tapecast_recall_asked_total"))
	if went.full {
		t.Logf("with all of them, in the 10 s after: orders %s, trades %s", spread(went.laterOrders),
			spread(went.laterTrades))
	}
}

// withinBars: the memory is given back, and the times are within their bars.
func (went *stormFigures) withinBars(t *testing.T, b *gateway) {
	t.Helper()
	// What was read again is kept for 30 s.
	eventually(t, time.Minute, "memory is back",
		func() bool { return b.metric("tapecast_recall_kept_bytes") == 0 && b.heap() < went.heap+4e6 })
	t.Logf("%s after: heap %.1f MB, resident %.0f MB", time.Since(went.began).Round(time.Second),
		b.heap()/1e6, b.resident())
	if scaled().partitions > 0 { // the bars are for as many as it has
		return
	}
	if went.caught > 10*time.Second {
		t.Errorf("all had caught up %s after the node was lost, the bar is 10 s", went.caught)
	}
	if p99 := went.stormOrders[len(went.stormOrders)*99/100]; p99 > 20*time.Millisecond {
		t.Errorf("p99 of the orders of who stayed is %s, the bar is 20 ms", p99)
	}
}
