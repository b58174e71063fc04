package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const valuesConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, send_buffer: 16KiB, notsent_lowat: 16KiB}
limits: {messages_per_second: 0, pending: 0, request_cost: 0, snapshot_bytes: 0}
classes:
  quick:
    {conflate: true, snapshot: true, conflate_after: {bytes: 16KiB, age: 1s}, retain: {bytes: 256KiB, age: 2s},
     key_ttl: TTL}
rooms:
  - {match: "quotes", class: quick}
auto_join: []
ingest:
  routes:
    - {topic: quotes, rooms: [quotes], key: "{@key}", type: quote, tombstones: true}
`

// TestSnapshotsEqualCompaction: clients join, leave, stall, vanish and resume at random. The room
// has the recorded best prices and many more keys, and nine in ten of those are hardly ever
// updated. When a snapshot ends, and at the end, what each client has equals an offline compaction
// of the topic at that position. No key ever goes back.
func TestSnapshotsEqualCompaction(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		clients, keys, over, ttl, times := 60, 600, 8*time.Second, 4*time.Second, 1.0
		if testing.Short() {
			clients = 20
		}
		if k.full() {
			clients, keys, over, ttl = 2000, 10_000, 11*time.Minute, 2*time.Minute
		}
		k.topic(t, "quotes", valuesPartitions)
		g := start(t, config(k, strings.Replace(valuesConfig, "TTL", ttl.String(), 1)))
		w := k.producer(t)
		stop := quoteAll(t, w, keys, over, times)
		defer stop()
		eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 0 })

		v := newViewers(newCrowd(t, clients, func(n int) string { return fmt.Sprint("v", n) }), g)
		defer v.disperse()
		v.roam(over, time.Minute, v.step)
		stop()
		topic := k.read(t, "quotes")
		records := 0
		for _, recs := range topic {
			records += len(recs)
		}
		v.await(ttl+time.Minute, "all of the topic, and what is stale has gone",
			func() bool { return v.levelWith(topic, ttl) })
		n := v.sameAsTopic(topic, ttl)
		t.Logf("%d records of %d keys, %d clients: %d joins, of which %d snapshots and %d from where they had been; "+
			"%d snapshots started again; %d stalls, %d vanished; %v frames spared by conflation, %v keys expired",
			records, len(v.keys), clients, v.joins, n, v.resumes, v.restarted, v.stalls, v.vanished,
			g.metric("tapecast_conflated_frames_total"), g.metric("tapecast_keys_expired_total"))
		if few := clients / 10; n < 2*few || v.resumes < few || v.stalls < few || v.vanished < few {
			t.Error("this shows little")
		}
	})
}

// quoteAll writes the recorded best prices, at a multiple of their pace, or generated ones if there
// is no recording. It writes the other keys beside them, until it is stopped.
func quoteAll(t testing.TB, w *producer, keys int, over time.Duration, times float64) (stop func()) {
	var enough atomic.Bool
	put := func(key string, value []byte) {
		w.send("quotes", partitionOf(key, valuesPartitions), []byte(key), value)
	}
	recorded := w.meanwhile(func() {
		rows := bestPrices(t, over, times)
		pace(rows, times, func(r row) bool {
			put(r.key, r.payload)
			return !enough.Load()
		})
	})
	generated := w.meanwhile(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		rnd, began := rand.New(rand.NewPCG(4, 2)), time.Now()
		born := 0
		for i := 0; !enough.Load(); i++ {
			if i%5 == 0 {
				<-tick.C
			}
			// Nine in ten come once in the first half of the time, and are never updated.
			for due := int(2 * time.Since(began).Seconds() / over.Seconds() * float64(keys)); born < min(due,
				keys); born++ {
				if born%10 > 0 {
					put(fmt.Sprintf("g%05d", born), fmt.Appendf(nil, `{"once":%d,"pad":"%0100d"}`, born, born))
				}
			}
			key := 10 * rnd.IntN(keys/10)
			value := fmt.Appendf(nil, `{"i":%d,"pad":"%0100d"}`, i, key)
			if rnd.IntN(20) == 0 {
				value = nil
			}
			put(fmt.Sprintf("g%05d", key), value)
		}
	})
	var once atomic.Bool
	return func() {
		if once.Swap(true) {
			return
		}
		enough.Store(true)
		<-recorded
		<-generated
		w.flush()
	}
}
