package main_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

const snapshotConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, send_buffer: 16KiB, notsent_lowat: 16KiB}
classes:
  quick: {conflate: true, snapshot: true, conflate_after: {bytes: 16KiB}, retain: {bytes: 256KiB, age: 2s}}
rooms:
  - {match: "quotes", class: quick}
auto_join: []
ingest:
  routes:
    - {topic: quotes, rooms: [quotes], key: "{@key}", type: quote, tombstones: true}
`

// TestSnapshotsEqualCompaction: clients that join, leave, stall and resume at
// random. Whenever a snapshot ends, and at the end, what each has is an
// offline compaction of the topic at that place.
func TestSnapshotsEqualCompaction(t *testing.T) {
	onEach(t, func(t *testing.T, k *cluster) {
		conns, rounds := 30, 12
		if testing.Short() {
			conns, rounds = 8, 5
		}
		k.topic(t, "quotes", 3)
		defer k.deleteTopic(t, "quotes")
		g := start(t, config(k, snapshotConfig))
		w := k.producer(t)
		const keys = 600
		send := func(rnd *rand.Rand, i int) {
			key := rnd.IntN(keys)
			if rnd.IntN(10) > 0 {
				key = rnd.IntN(keys / 10) // nine of ten keys are hardly ever updated
			}
			name := fmt.Sprint("k", key)
			value := fmt.Appendf(nil, `{"i":%d,"pad":"%0100d"}`, i, key)
			if rnd.IntN(20) == 0 {
				value = nil
			}
			w.send("quotes", partitionOf(name, 3), []byte(name), value)
		}
		var enough atomic.Bool
		produced := make(chan struct{})
		go func() {
			defer close(produced)
			rnd := rand.New(rand.NewPCG(4, 2))
			for i := 0; !enough.Load(); i++ {
				send(rnd, i)
				if i%20 == 0 {
					<-time.After(5 * time.Millisecond)
				}
			}
		}()
		eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 0 })

		clients := make([]*client, conns)
		onAll(conns, func(i int) {
			clients[i] = dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("s", i))})
			roam(clients[i], rounds, rand.New(rand.NewPCG(9, uint64(i))))
		})
		enough.Store(true)
		<-produced
		w.flush()
		topic := k.read(t, "quotes")
		end := ends(topic)
		snapshots, resumes := 0, 0
		for _, c := range clients {
			c.await("all of the topic", func() bool {
				r := c.rooms["quotes"]
				return !r.snapping && maps.Equal(newestOf(r.values), compacted(topic, end))
			})
			c.check()
			c.mu.Lock()
			for _, r := range append(c.past, c.rooms["quotes"]) {
				for _, s := range r.taken {
					snapshots++
					if got, want := s.values, compacted(topic, s.at); !maps.Equal(got, want) {
						t.Errorf("a snapshot of %d keys at %v, the topic has %d there", len(got), s.at, len(want))
					}
				}
				if len(r.taken) == 0 {
					resumes++
				}
			}
			c.mu.Unlock()
		}
		t.Logf("%d snapshots and %d resumes, %v frames spared by conflation", snapshots, resumes, g.metric("tapecast_conflated_frames_total"))
		if snapshots < conns || resumes < conns/2 {
			t.Errorf("only %d snapshots and %d resumes: this shows little", snapshots, resumes)
		}
	})
}

// roam joins and leaves the room, now and then with the place it had, and stops reading
// for a while in between. It stays in at the end.
func roam(c *client, rounds int, rnd *rand.Rand) {
	params := map[string]any{"rooms": []string{"quotes"}}
	for round := range rounds {
		r := roomReplies(c.call("subscribe", params).Result)
		if len(r) != 1 || r[0].Error != nil && r[0].Error.Code != -32008 || r[0].Status != "joined" {
			c.fault("subscribe: %+v", r)
			return
		}
		if rnd.IntN(3) == 0 {
			c.reading.Lock()
			<-time.After(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			c.reading.Unlock()
		}
		<-time.After(time.Duration(rnd.IntN(500)) * time.Millisecond)
		if round == rounds-1 {
			return
		}
		left := roomReplies(c.call("unsubscribe", map[string]any{"rooms": []string{"quotes"}}).Result)
		if len(left) != 1 || left[0].Error != nil {
			c.fault("unsubscribe: %+v", left)
			return
		}
		delete(params, "since")
		if left[0].Positions.epoch != "" && rnd.IntN(2) == 0 {
			params["since"] = map[string]any{"quotes": c.carry("quotes").object()}
		}
		<-time.After(time.Duration(rnd.IntN(300)) * time.Millisecond)
	}
}

// compacted is what a topic holds of each key up to a place, by the key's place.
func compacted(topic [][]record, at map[int32]int64) map[string]int64 {
	m := map[string]int64{}
	for p, recs := range topic {
		for _, r := range recs {
			if r.offset > at[int32(p)] {
				break
			}
			if m[string(r.key)] = r.offset; r.tombstone {
				delete(m, string(r.key))
			}
		}
	}
	return m
}

func newestOf(values map[string]frame) map[string]int64 {
	m := map[string]int64{}
	for key, f := range values {
		m[key] = f.off
	}
	return m
}
