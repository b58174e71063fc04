package e2e

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

const resumeConfig = `
classes:
  kept: {keep: true, retain: {bytes: 64MiB, age: 30s}}
  private: {retain: {age: 2s}}
rooms:
  - {match: "ticks", class: kept}
  - {match: "mine:{owner}", class: private}
auto_join: []
ingest:
  routes:
    - {topic: ticks, rooms: [ticks], type: tick}
    - {topic: mine, rooms: ["mine:{@key}"], type: order, partitioner: murmur2}
`

// TestResumeExactlyOnce: clients are cut at random, with a close and without. They come back to one
// of three nodes with their position, which memory often no longer has. Each gets in all what the
// topic holds since its first join, each record once and in order, and need not skip any. A topic
// grows meanwhile, and half of its records lie where its partitioner would not put them.
func TestResumeExactlyOnce(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		conns, cuts := 40, 8
		if testing.Short() {
			conns, cuts = 10, 4
		}
		for topic, parts := range map[string]int{"ticks": 3, "mine": 2} {
			k.topic(t, topic, parts)
		}
		nodes := []*gateway{start(t, config(k, resumeConfig)), start(t, config(k, resumeConfig))}
		w := k.producer(t)
		var parts atomic.Int32 // of mine
		parts.Store(2)
		stop := w.ticksAndOrders(conns, &parts)
		eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 10 })
		// A node that was not there from the start.
		nodes = append(nodes, start(t, config(k, resumeConfig)))

		all := make([]*travels, conns)
		travelled := make(chan struct{})
		go func() {
			defer close(travelled)
			onAll(conns, func(i int) {
				all[i] = &travels{t: t, w: w, user: fmt.Sprint("r", i),
					rooms: []string{"ticks", fmt.Sprint("mine:r", i)}}
				all[i].travel(nodes, cuts, rand.New(rand.NewPCG(6, uint64(i))))
			})
		}()
		eventually(t, time.Minute, "orders in two partitions", func() bool { return w.done.Load() > 500 })
		k.addPartitions(t, "mine", 6)
		eventually(t, time.Minute, "known to the producer", func() bool {
			mine := k.name("mine")
			md, err := w.p.GetMetadata(&mine, false, 5000)
			return err == nil && len(md.Topics[mine].Partitions) == 6
		})
		parts.Store(6)
		<-travelled
		stop()
		w.flush()
		topics := [][][]record{k.read(t, "ticks"), k.read(t, "mine")}
		for i, v := range all {
			v.finish(topics)
			if i == 0 {
				t.Logf("%d records of ticks and %d of mine over %d connections", len(v.got[0]), len(v.got[1]), cuts+1)
			}
		}
		readAgain(t, nodes)
		for _, v := range all {
			v.c.leave()
		}
	})
}

// ticksAndOrders writes to both topics until it is stopped. mine has so many partitions, and every
// second order lies in another one than its partitioner would choose.
func (w *producer) ticksAndOrders(users int, parts *atomic.Int32) (stop func()) {
	var enough atomic.Bool
	produced := w.meanwhile(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; !enough.Load(); i++ {
			w.send("ticks", int32(i%3), nil, fmt.Appendf(nil, `{"i":%d}`, i))
			part := anyPartition
			if i%2 == 0 { // as a producer with another partitioner would
				part = int32(i) / 2 % parts.Load()
			}
			w.send("mine", part, fmt.Append(nil, "r", i%users), fmt.Appendf(nil, `{"order":%d}`, i))
			<-tick.C
		}
	})
	return func() {
		enough.Store(true)
		<-produced
	}
}

// readAgain: the nodes had to read from Kafka again, and counted the misplaced records.
func readAgain(t *testing.T, nodes []*gateway) {
	t.Helper()
	asked := 0.0
	for _, g := range nodes {
		asked += g.metric("tapecast_recall_asked_total")
		t.Logf("%v asked for %v records to be read again, in %v reads", g.metric("tapecast_recall_asked_total"),
			g.metric("tapecast_recall_records_total"), g.metric("tapecast_recall_reads_total"))
	}
	if nodes[0].metric("tapecast_ingest_misplaced_total") == 0 {
		t.Error("records that lie where the partitioner would not put them are not counted")
	}
	if asked == 0 {
		t.Error("every position was still in memory: this shows little")
	}
}

// travels is one client over several connections.
type travels struct {
	t     testing.TB
	w     *producer // a thousand records a second
	user  string
	rooms []string
	c     *client
	first [2]positions // where it first joined
	got   [2][]frame   // by room, of all connections that have ended
}

func (v *travels) travel(nodes []*gateway, cuts int, rnd *rand.Rand) {
	since := map[string]any{}
	for cut := 0; ; cut++ {
		g := nodes[rnd.IntN(len(nodes))]
		v.c = dial(v.t, g, dialing{query: "?token=" + g.token(v.user)})
		joined := roomReplies(v.c.call("subscribe", map[string]any{"rooms": v.rooms, "since": since}).Result)
		v.again(joined, since)
		for i, r := range joined {
			if r.Error != nil || r.Status != "joined" || !r.Chain {
				v.c.fault("subscribe: %+v %+v", r, r.Error)
				return
			}
			if cut == 0 {
				v.first[i] = r.Positions
			}
		}
		if cut == cuts {
			return
		}
		v.w.awaitMore(rnd.IntN(200)) // it is a member
		if rnd.IntN(2) == 0 {
			v.c.leave()
		} else {
			v.c.conn.Close()
		}
		v.c.awaitClose(patience)
		v.c.mu.Lock()
		for i, name := range v.rooms {
			r := v.c.rooms[name]
			v.got[i] = append(v.got[i], r.frames...)
			if r.gaps > 0 {
				v.c.faultLocked("%d gaps in %s", r.gaps, name)
			}
			since[name] = positions{epoch: r.epoch, at: r.seen}.object()
		}
		v.c.mu.Unlock()
		v.c.check()
		away := rnd.IntN(150) // records
		if rnd.IntN(3) == 0 {
			away += 2200 // longer than memory reaches back
		}
		v.w.awaitMore(away)
	}
}

// again asks a node once more that does not know partitions yet that another one knew.
func (v *travels) again(joined []roomReply, since map[string]any) {
	for i, room := range v.rooms {
		if joined[i].Error == nil || joined[i].Error.Code != -32010 {
			continue
		}
		r, err := goneOn(v.c, room, since[room])
		if err != nil {
			v.c.fault("%s: %v", room, err)
			continue
		}
		joined[i] = *r
	}
}

// finish waits for what the topics hold, and compares.
func (v *travels) finish(topics [][][]record) {
	v.t.Helper()
	for i, name := range v.rooms {
		want := map[int32][]summed{}
		total := 0
		for p, recs := range topics[i] {
			from, ok := v.first[i].at[int32(p)]
			if !ok { // the partition is younger
				from = -1
			}
			for _, r := range recs {
				if r.offset > from && (i == 0 || string(r.key) == v.user) {
					want[int32(p)] = append(want[int32(p)], summed{int32(p), r.offset, crc32.ChecksumIEEE(r.value)})
					total++
				}
			}
		}
		v.c.await("all of "+name, func() bool { return len(v.got[i])+len(v.c.rooms[name].frames) >= total })
		v.c.mu.Lock()
		all := append(v.got[i], v.c.rooms[name].frames...)
		v.c.mu.Unlock()
		v.got[i] = all
		got := map[int32][]summed{}
		for _, f := range all {
			got[f.part] = append(got[f.part], summed{f.part, f.off, crc32.ChecksumIEEE(f.data)})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			v.t.Errorf("%s got %d frames of %s, the topic has %d; they are not the same", v.user, len(all), name, total)
		}
	}
	v.c.check()
}
