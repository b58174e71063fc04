package e2e

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const membersConfig = `
rooms:
  - {match: "feed:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: multi, rooms: ["feed:{@key}"], key: "{@key}", type: tick}
`

// TestMembershipsHoldExactlyTheirRecords: recordings of four exchanges in rooms by symbol, and
// clients that join and leave at random. Each membership got exactly what the topic holds between
// its join and leave positions, as a separate reader computes it.
func TestMembershipsHoldExactlyTheirRecords(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		sc := scaled()
		joins, conns := sc.joins, sc.joinConns
		if k.kind == "kfake" {
			joins, conns = min(joins, 1000), min(conns, 10)
		}
		rows := symbols(t)
		var names []string
		for _, r := range rows {
			if name := "feed:" + r.key; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		k.topic(t, "multi", 4)
		two := strings.Replace(kafkaSection(k), "kafka: {", "kafka: {consumers: 2, ", 1)
		g := start(t, config(k, "\n"+two+membersConfig))
		w := k.producer(t)

		// The recordings are repeated until the last client is done.
		var left atomic.Bool
		produced := w.meanwhile(func() {
			for !left.Load() {
				pace(rows, 2, func(r row) bool {
					w.send("multi", anyPartition, []byte(r.key), r.payload)
					return !left.Load()
				})
			}
		})

		// The first records of a new topic may take longer than all joins.
		eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 0 })

		clients := make([]*client, conns)
		onAll(conns, func(i int) {
			clients[i] = dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("m", i)), sums: true})
			wander(clients[i], w, names, joins/conns, rand.New(rand.NewPCG(1, uint64(i))))
		})
		left.Store(true)
		<-produced
		w.flush()

		topic := bySymbol(k.read(t, "multi"))
		memberships, frames := 0, 0
		for _, c := range clients {
			c.check()
			for _, r := range c.past {
				memberships++
				frames += len(r.frames)
				sameAsRecords(t, c, r, topic[r.name[len("feed:"):]])
			}
		}
		t.Logf("%d memberships of %d clients got %d frames; each is what the topic holds", memberships, conns, frames)
		if memberships < joins*9/10 || frames == 0 {
			t.Errorf("only %d memberships and %d frames: this shows little", memberships, frames)
		}
	})
}

// wander joins and leaves random rooms until it has joined so many. Then it leaves all. Now and
// then it does not wait for the answer. w writes the records of the rooms.
func wander(c *client, w *producer, names []string, joins int, rnd *rand.Rand) {
	in := map[string]bool{}
	pick := func(member bool, n int) (out []string) {
		for _, i := range rnd.Perm(len(names)) {
			if in[names[i]] == member && len(out) < n {
				out = append(out, names[i])
			}
		}
		return out
	}
	id := 1000
	ask := func(method string, rooms []string) string {
		for _, r := range rooms {
			in[r] = method == "subscribe"
		}
		id++
		c.request(fmt.Sprint(id), method, map[string]any{"rooms": rooms})
		return fmt.Sprint(id)
	}
	done := func(id, status string, n int) {
		r := c.reply(id)
		got := roomReplies(r.Result)
		if len(got) != n {
			c.fault("asked for %d rooms, the reply has %d: %s %+v", n, len(got), r.Result, r.Error)
		}
		for _, x := range got {
			if x.Status != status {
				c.fault("%s is not %s: %+v", x.Room, status, x.Error)
			}
		}
	}
	for made := 0; made < joins; {
		some := pick(false, 1+rnd.IntN(6))
		made += len(some)
		if rnd.IntN(8) == 0 && len(some) > 0 {
			// In and out and in again at once.
			a, b, d := ask("subscribe", some), ask("unsubscribe", some), ask("subscribe", some)
			made += len(some)
			done(a, "joined", len(some))
			done(b, "left", len(some))
			done(d, "joined", len(some))
		} else if len(some) > 0 {
			done(ask("subscribe", some), "joined", len(some))
		}
		w.awaitMore(rnd.IntN(350)) // it is a member
		// Six rooms on average: more would show how fast the test reads.
		if out := pick(true, len(pick(true, len(names)))-rnd.IntN(8)); len(out) > 0 {
			done(ask("unsubscribe", out), "left", len(out))
		}
	}
	if rest := pick(true, len(names)); len(rest) > 0 {
		done(ask("unsubscribe", rest), "left", len(rest))
	}
}

func bySymbol(topic [][]record) map[string][]summed {
	m := map[string][]summed{}
	for p, recs := range topic {
		for _, r := range recs {
			m[string(r.key)] = append(m[string(r.key)], summed{int32(p), r.offset, crc32.ChecksumIEEE(r.value)})
		}
	}
	return m
}

// sameAsRecords compares an ended membership with the records of its room. All records of a
// symbol are in one partition, in order.
func sameAsRecords(t testing.TB, c *client, r *room, recs []summed) {
	t.Helper()
	from, _ := slices.BinarySearchFunc(recs, r, func(p summed, r *room) int {
		if p.off > r.from(p.part) {
			return 1
		}
		return -1
	})
	recs = recs[from:]
	i := 0
	for ; i < len(recs) && r.in(recs[i].part, recs[i].off); i++ {
		if i == len(r.frames) {
			t.Fatalf("client %s: %s from %v to %v got %d frames, and lacks %d:%d", c.name, r.name, r.joined, *r.left, i,
				recs[i].part, recs[i].off)
		}
		if f := r.frames[i]; f.part != recs[i].part || f.off != recs[i].off || f.sum != recs[i].sum {
			t.Fatalf("client %s: %s from %v to %v: frame %d is %d:%d, want %d:%d", c.name, r.name, r.joined, *r.left, i,
				f.part, f.off, recs[i].part, recs[i].off)
		}
	}
	if i != len(r.frames) {
		f := r.frames[i]
		t.Fatalf("client %s: %s from %v to %v got %d:%d, which is not between", c.name, r.name, r.joined,
			*r.left, f.part, f.off)
	}
}
