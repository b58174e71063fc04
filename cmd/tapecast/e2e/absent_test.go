package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestPrivateResume: users come back to a node that never held their rooms, after a time for
// which tapes do not reach back. Each gets its own records, once, and Kafka is read about once
// for all of them.
func TestPrivateResume(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		users, partitions, records := 200, 16, 4000
		if k.full() {
			users, partitions, records = 15_000, 64, 300_000
		}
		k.topic(t, "orders", partitions)
		conf := ownersWith(k, 25*time.Second, 5*time.Second)
		w, rnd := k.producer(t), rand.New(rand.NewPCG(4, 4))
		o := newOwners(newCrowd(t, users, func(n int) string { return fmt.Sprint("p", n) }))
		defer o.disperse()

		a := start(t, conf)
		began := time.Now()
		o.meet(a)
		t.Logf("%d users joined in %s", users, time.Since(began).Round(time.Millisecond))
		o.do(func() { o.ended = func(*guest, int) {} })
		a.cmd.Process.Kill()
		<-a.exited
		o.await(patience, "all have lost it", func() bool {
			return !slices.ContainsFunc(o.guests, func(g *guest) bool { return g.fd >= 0 })
		})
		o.orders(w, records, rnd, 0)
		w.flush()
		topic := k.read(t, "orders")
		count, size := o.window(topic)

		b := start(t, conf)
		before, _ := b.fromKafka(k)
		o.do(func() { o.ended = o.faultEnd })
		began = time.Now()
		o.back(0, b)
		came := time.Since(began)
		o.await(time.Minute, "all that was missed", o.levelled)
		o.orders(w, records/20, rnd, records) // live messages go on behind it
		w.flush()
		o.exactly(k.read(t, "orders"))

		after, told := b.fromKafka(k)
		asked, read := b.metric("tapecast_recall_asked_total"), b.metric("tapecast_recall_bytes_total")
		t.Logf("%d users came in %s, each level after its connect: %s", users, came.Round(time.Millisecond),
			spread(slices.Clone(o.level)))
		t.Logf("%d records of %.1f MB missed; %v asked, %v stretches and %v records of %.1f MB read again, %.2f "+
			"times the window",
			count, size/1e6, asked, b.metric("tapecast_recall_reads_total"), b.metric("tapecast_recall_records_total"),
			read/1e6, read/size)
		if told {
			t.Logf("%.1f MB came from the brokers meanwhile, all protocol included: %.2f times the window",
				float64(after-before)/1e6, float64(after-before)/size)
		}
		if asked != float64(users) || read > 2*size {
			t.Errorf("%v of %d users needed Kafka, and %.0f bytes were read for a window of %.0f",
				asked, users, read, size)
		}
		if last := slices.Max(o.level); k.full() && last > 10*time.Second {
			t.Errorf("the last was level %s after its connect, the bar is 10 s", last)
		}
	})
}

// TestQuietRooms: the rooms of some users carried nothing for so long that no tape knows them,
// while others kept the topic busy. They miss one order each. The positions notices have kept
// their positions recent, so little is read again.
func TestQuietRooms(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		users, busy, retain := 200, 20_000, time.Second
		if k.full() {
			users, busy, retain = 10_000, 400_000, 2*time.Second
		}
		k.topic(t, "orders", 16)
		conf := ownersWith(k, time.Second, retain)
		w := k.producer(t)
		o := newOwners(newCrowd(t, users, func(n int) string { return fmt.Sprint("q", n) }))
		defer o.disperse()
		nodes := []*gateway{start(t, conf), start(t, conf)}
		o.meet(nodes[0])

		others := func(n int) {
			for i := range n {
				w.send("orders", anyPartition, fmt.Append(nil, "other", i%5000),
					fmt.Appendf(nil, `{"order":%d,"pad":"%060d"}`, i, i))
			}
			w.flush()
		}
		// If the positions were as old as the joins, the others' records of the hour would be read again.
		others(busy)
		end := ends(k.read(t, "orders"))
		o.await(time.Minute, "positions that are as new as the topic", func() bool {
			return !slices.ContainsFunc(o.guests, func(g *guest) bool {
				for part, off := range o.since[g.n].at {
					if off < end[part] {
						return true
					}
				}
				return false
			})
		})
		o.disperse()
		for _, g := range o.guests {
			w.send("orders", anyPartition, []byte(g.user), fmt.Appendf(nil, `{"order":%q}`, g.user))
			o.due[g.n]++
		}
		others(2000)
		topic := k.read(t, "orders")
		count, size := o.window(topic)
		for _, g := range nodes {
			g.forgets()
		}

		o.back(0, nodes...)
		o.await(time.Minute, "the one order", o.levelled)
		o.exactly(topic)
		t.Logf("%d users, %d records of others while their rooms were quiet, each level after its connect: %s", users,
			busy, spread(slices.Clone(o.level)))
		for i, g := range nodes {
			asked, records, read := g.metric("tapecast_recall_asked_total"), g.metric("tapecast_recall_records_total"),
				g.metric("tapecast_recall_bytes_total")
			t.Logf("node %d: %v asked, %v records of %.2f MB read again in %v stretches; %d records of %.2f MB came "+
				"after the oldest position", i+1, asked, records, read/1e6,
				g.metric("tapecast_recall_reads_total"), count, size/1e6)
			if asked != float64(users/2) || records > float64(2*count) {
				t.Errorf("%v asked, want all %d; %v records were read again for %d", asked, users/2, records, count)
			}
		}
	})
}
