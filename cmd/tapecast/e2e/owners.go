package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// owners is a crowd in which each guest is in a room of its own, orders:{user}. It keeps
// the position in it over its connections.
type owners struct {
	*crowd
	since  []positions // by user: the positions that it sends when it comes back
	first  []positions // by user: the positions of its first join
	got    [][]ownGot  // by user: everything that came, in the order of the wire
	due    []int       // by user: how many messages there were when it came back
	level  []time.Duration
	also   func(*guest) bool // what else must hold for a guest to be level; nil: nothing
	joined int
	parts  int // partitions of the feed: joins name all of them
	raised int // positions notices that raised a position
}

// ownGot is one message. A private room lies on one partition.
type ownGot struct {
	off int64
	sum uint32
}

const ownersConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, ping_every: PING}
limits: {messages_per_second: 0, pending: 0, request_cost: 0, snapshot_bytes: 0}
classes:
  private: {retain: {age: RETAIN}}
rooms:
  - {match: "orders:{owner}", class: private}
auto_join: ["orders:{sub}"]
ingest:
  routes:
    - {topic: orders, rooms: ["orders:{@key}"], type: order_update, partitioner: murmur2}
`

func ownersWith(k *cluster, ping, retain time.Duration) string {
	return config(k, strings.NewReplacer("PING", ping.String(), "RETAIN", retain.String()).Replace(ownersConfig))
}

func newOwners(c *crowd) *owners {
	n := len(c.guests)
	o := &owners{crowd: c, since: make([]positions, n), first: make([]positions, n), got: make([][]ownGot, n),
		due: make([]int, n), level: make([]time.Duration, n)}
	c.frame, c.said = o.take, o.hear
	return o
}

func (o *owners) take(g *guest, p []byte) {
	part, off, _, rest, ok := posOf(p)
	_, data, whole := bytes.Cut(rest, dataLabel)
	at, there := o.since[g.n].at[part]
	if !ok || !whole || !there || off <= at {
		o.fault(g, "after %d:%d came %.300s", part, at, p)
		return
	}
	o.since[g.n].at[part] = off
	o.got[g.n] = append(o.got[g.n], ownGot{off, crc32.ChecksumIEEE(data[:len(data)-1])})
	o.reached(g)
}

// reached notes when a guest first has everything that was due.
func (o *owners) reached(g *guest) {
	if o.level[g.n] == -1 && len(o.got[g.n]) >= o.due[g.n] && (o.also == nil || o.also(g)) {
		o.level[g.n] = time.Since(g.dialed)
	}
}

func (o *owners) hear(g *guest, method string, p notified) {
	switch {
	case p.Error != nil:
		o.fault(g, "%+v", *p.Error)
	case method == "auto_subscribed":
		at, err := joinedAt(p, "orders:"+g.user)
		if o.parts == 0 {
			o.parts = len(at.at)
		}
		if err != nil || len(at.at) == 0 || len(at.at) != o.parts { // all partitions of the feed
			o.fault(g, "joined at %v: %v", at, err)
		}
		if o.joined++; o.first[g.n].epoch == "" {
			o.first[g.n], o.since[g.n] = at, positions{at.epoch, map[int32]int64{}}
			for part, off := range at.at {
				o.since[g.n].at[part] = off
			}
		}
	case method == "positions":
		var m map[string]positions
		if err := json.Unmarshal(p.Params, &m); err != nil {
			o.fault(g, "%v in %s", err, p.Params)
		}
		for part, off := range m["orders:"+g.user].at {
			if off < o.since[g.n].at[part] {
				o.fault(g, "positions say %d:%d, though %d was seen", part, off, o.since[g.n].at[part])
			}
			o.since[g.n].at[part] = off
			o.raised++
		}
	case method == "gap" || method == "reset":
		o.fault(g, "%s %s", method, p.Params)
	}
}

// meet connects all guests for the first time, and waits until they are joined.
func (o *owners) meet(node *gateway) {
	o.t.Helper()
	o.arrive(0, func(g *guest) (*gateway, string, []byte) { return node, "?token=" + node.token(g.user), nil })
	o.await(time.Minute, "all are joined", func() bool { return o.joined == len(o.guests) })
}

// resume returns a guest's request with a token and its positions.
func (o *owners) resume(g *guest) []byte {
	return request("authenticate",
		map[string]any{"token": tokenFor(g.user, time.Hour),
			"since": map[string]any{"orders:" + g.user: o.since[g.n].object()}})
}

// back makes all guests come back within the given time, to one of the nodes. Each must
// get what the topic has then and the guest lacks.
func (o *owners) back(over time.Duration, nodes ...*gateway) {
	o.t.Helper()
	o.do(func() {
		for i := range o.level {
			o.level[i] = -1
		}
	})
	o.arrive(over, func(g *guest) (*gateway, string, []byte) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.got[g.n]) == o.due[g.n] {
			o.level[g.n] = 0
		}
		return nodes[g.n%len(nodes)], "", o.resume(g)
	})
}

func (o *owners) levelled() bool { return !slices.Contains(o.level, -1) }

// exactly compares what each guest got with the topic: all of its own records since its
// first join, once and in order.
func (o *owners) exactly(topic [][]record) {
	o.t.Helper()
	want := map[string][]ownGot{}
	where := map[string]int32{}
	for p, recs := range topic {
		for _, r := range recs {
			user := string(r.key)
			if at, ok := where[user]; ok && at != int32(p) {
				o.t.Fatalf("user %s has records in partitions %d and %d", user, at, p)
			}
			where[user] = int32(p)
			want[user] = append(want[user], ownGot{r.offset, crc32.ChecksumIEEE(r.value)})
		}
	}
	of := func(g *guest) []ownGot {
		own := want[g.user]
		for len(own) > 0 && own[0].off <= o.first[g.n].at[where[g.user]] {
			own = own[1:]
		}
		return own
	}
	o.await(patience, "all of their own", func() bool {
		return !slices.ContainsFunc(o.guests, func(g *guest) bool { return len(o.got[g.n]) < len(of(g)) })
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range o.guests {
		if own := of(g); !slices.Equal(o.got[g.n], own) {
			o.t.Fatalf("user %s got %d messages, the topic has %d for it; they are not the same: %v, want %v", g.user,
				len(o.got[g.n]), len(own), o.got[g.n], own)
		}
	}
}

// orders writes n records for random owners, and counts them as due.
func (o *owners) orders(w *producer, n int, rnd *rand.Rand, from int) {
	for i := range n {
		g := o.guests[rnd.IntN(len(o.guests))]
		w.send("orders", anyPartition, []byte(g.user),
			fmt.Appendf(nil, `{"order":%d,"of":%q,"pad":"%060d"}`, from+i, g.user, i))
		o.do(func() { o.due[g.n]++ })
	}
}

// window returns how many records lie after the oldest position that any guest will send,
// in all partitions, and the bytes of their keys and values.
func (o *owners) window(topic [][]record) (records int, size float64) {
	oldest := map[int32]int64{}
	for _, s := range o.since {
		for part, off := range s.at {
			if at, ok := oldest[part]; !ok || off < at {
				oldest[part] = off
			}
		}
	}
	for p, recs := range topic {
		at, ok := oldest[int32(p)]
		for _, r := range recs {
			if ok && r.offset > at {
				records++
				size += float64(len(r.key) + len(r.value))
			}
		}
	}
	return records, size
}

// fromKafka returns the bytes that the gateway's connections to the brokers have received,
// or false if the system cannot tell.
func (g *gateway) fromKafka(k *cluster) (int64, bool) {
	out, err := exec.Command("ss", "-tinHOp", "state", "established").Output()
	if err != nil {
		return 0, false
	}
	total := int64(0)
	for line := range strings.Lines(string(out)) {
		peer := strings.Fields(line)
		if !strings.Contains(line, fmt.Sprintf("pid=%d,", g.cmd.Process.Pid)) || len(peer) < 4 ||
			!strings.Contains(k.brokers, peer[3]) {
			continue
		}
		if _, n, ok := strings.Cut(line, "bytes_received:"); ok {
			v, _ := strconv.ParseInt(n[:strings.IndexByte(n, ' ')], 10, 64)
			total += v
		}
	}
	return total, total > 0
}

// resident returns the memory of the process, in MB.
func (g *gateway) resident() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		return 0 // it has ended
	}
	pages, _ := strconv.ParseFloat(strings.Fields(string(b))[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
