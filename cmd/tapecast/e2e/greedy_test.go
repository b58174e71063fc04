package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const greedyConfig = `
limits: {messages_per_second: 0, recall_bytes: 64MiB}
server: {listen: "127.0.0.1:0", drain: 1s, send_buffer: 16KiB, notsent_lowat: 16KiB}
classes:
  private: {owner: "{sub}", lag: close, retain: {age: 1s}}
  stream: {retain: {age: 1s}}
rooms:
  - {match: "orders:{owner}", class: private}
  - {match: "all", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: orders, rooms: ["orders:{@key}", all], key: "{@key}", type: order}
`

// goneOn asks to resume from a position, again and again as long as the answer is "not now".
func goneOn(c *client, room string, since any) (*roomReply, error) {
	for range 100 {
		ask := map[string]any{"rooms": []string{room}, "since": map[string]any{room: since}}
		list := roomReplies(c.call("subscribe", ask).Result)
		if len(list) != 1 {
			return nil, errors.New("no reply of one room")
		}
		e := list[0].Error
		if e == nil || e.Code != -32010 {
			return &list[0], nil
		}
		var data struct{ RetryAfter int }
		if err := json.Unmarshal(e.Data, &data); err != nil || data.RetryAfter <= 0 {
			return nil, fmt.Errorf("not now, without retryAfter: %s", e.Data)
		}
		due(time.Now(), time.Duration(min(data.RetryAfter, 1000))*time.Millisecond) // as the answer says
	}
	return nil, errors.New("never")
}

// TestGreedyResumes: ten clients resume their own rooms from the start of a topic again and
// again, and two ask for all of it and do not read. Thirty others that lack little get it, each
// message once.
func TestGreedyResumes(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	const greedy, stalled, honest, records = 10, 2, 30, 30_000
	k.topic(t, "orders", 3)
	kafka := fmt.Sprintf("kafka: {brokers: [%s], metadata_every: 500ms, recall_memory: 8MiB}\n", k.brokers)
	g := start(t, config(k, greedyConfig+kafka))
	w := k.producer(t)
	send := func(n int, key func(i int) string) {
		for i := range n {
			w.send("orders", int32(i%3), []byte(key(i)), fmt.Appendf(nil, `{"i":%d,"pad":"%0400d"}`, i, i))
		}
		w.flush()
	}
	first := dial(t, g, dialing{query: "?token=" + g.token("seed"), sums: true})
	at := roomReplies(first.call("subscribe", map[string]any{"rooms": []string{"all"}}).Result)
	if len(at) != 1 || at[0].Error != nil {
		t.Fatalf("subscribe: %+v", at)
	}
	epoch := at[0].Positions.epoch
	send(records, func(i int) string { return fmt.Sprint("m", i%1000) })
	ends := map[string]any{"epoch": epoch, "0": records/3 - 1, "1": records/3 - 1, "2": records/3 - 1}
	send(honest*3, func(i int) string { return fmt.Sprint("h", i/3) })
	eventually(t, patience, "the gateway has read it", func() bool {
		return g.metric("tapecast_ingest_records_total") >= records+honest*3
	})
	first.leave()
	g.forgets()

	begin := map[string]any{"epoch": epoch, "0": -1, "1": -1, "2": -1}
	defer g.resumedGreedily(t, greedy, begin)()
	for i := range stalled {
		c := dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("s", i)), sums: true})
		c.request("1", "subscribe", map[string]any{"rooms": []string{"all"}, "since": map[string]any{"all": begin}})
		c.reading.Lock()
		defer c.reading.Unlock()
	}
	eventually(t, patience, "the greedy ones are served",
		func() bool { return g.metric("tapecast_recall_windows_total") > 20 })
	g.resumedHonestly(t, honest, ends)
	t.Logf("%v asked, %v refused, %v parts, %.1f MB read", g.metric("tapecast_recall_asked_total"),
		g.metric("tapecast_recall_refused_total"), g.metric("tapecast_recall_windows_total"),
		g.metric("tapecast_recall_bytes_total")/1e6)
	if read, most := g.metric("tapecast_recall_bytes_total"), float64((greedy+stalled)*2*64<<20); read > most {
		t.Errorf("%.0f bytes were read again, %.0f are the budgets", read, most)
	}
}

// resumedGreedily lets n clients resume their rooms from the start again and again, until it is stopped.
func (g *gateway) resumedGreedily(t *testing.T, n int, begin any) (stop func()) {
	t.Helper()
	var enough atomic.Bool
	var running sync.WaitGroup
	for i := range n {
		user := fmt.Sprint("m", i)
		c := dial(t, g, dialing{query: "?token=" + g.token(user), sums: true})
		running.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for n := 0; !enough.Load(); n++ {
				room := "orders:" + user
				ask := map[string]any{"rooms": []string{room}, "since": map[string]any{room: begin}}
				c.request(fmt.Sprint(2*n), "subscribe", ask)
				<-tick.C
				c.request(fmt.Sprint(2*n+1), "unsubscribe", []string{room})
			}
		})
	}
	return func() {
		enough.Store(true)
		running.Wait()
	}
}

// resumedHonestly lets n clients resume that lack three orders each, and waits until they have them.
func (g *gateway) resumedHonestly(t *testing.T, n int, since any) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		user := fmt.Sprint("h", i)
		c := dial(t, g, dialing{query: "?token=" + g.token(user)})
		all.Go(func() {
			room := "orders:" + user
			r, err := goneOn(c, room, since)
			if err != nil || r.Error != nil {
				t.Errorf("%s: %v %+v", user, err, r)
				return
			}
			c.await("its orders", func() bool { return len(c.rooms[room].frames) >= 3 })
			c.check()
			if n := len(c.rooms[room].frames); n != 3 {
				t.Errorf("%s got %d orders, not 3", user, n)
			}
		})
	}
	all.Wait()
}

// TestManyTimes: one client resumes from a thousand different times, and from another while
// that is looked up. A client of another user resumes from a time too.
func TestManyTimes(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "ticks", 3)
	g := start(t, config(k, `
rooms:
  - {match: "t:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: ticks, rooms: ["t:{@key}"], type: tick}
`))
	w := k.producer(t)
	begin := time.Now().Add(-time.Hour)
	for i := range 100 {
		w.sendAt("ticks", int32(i%3), []byte("a1"), fmt.Appendf(nil, "%d", i), begin.Add(time.Duration(i)*time.Second))
	}
	w.flush()
	eventually(t, patience, "all is read", func() bool { return g.metric("tapecast_ingest_records_total") == 100 })
	many := dial(t, g, dialing{query: "?token=" + g.token("m1"), sums: true})
	var names []string
	times := map[string]any{}
	for i := range 1000 {
		name := fmt.Sprint("t:", i)
		names = append(names, name)
		times[name] = map[string]any{"ts": begin.Add(-time.Duration(i) * time.Second).UnixMilli()}
	}
	many.request("1", "subscribe", map[string]any{"rooms": names, "since": times})
	c := dial(t, g, dialing{query: "?token=" + g.token("a1")})
	r, err := goneOn(c, "t:a1", map[string]any{"ts": begin.Add(90 * time.Second).UnixMilli()})
	if err != nil || r.Error != nil {
		t.Fatalf("%v %+v", err, r)
	}
	c.await("the last ten", func() bool { return len(c.rooms["t:a1"].frames) == 10 })
	c.check()
	for _, r := range roomReplies(many.reply("1").Result) {
		if r.Error != nil && r.Error.Code != -32010 {
			t.Fatalf("%+v", r.Error)
		}
	}
	eventually(t, patience, "nothing waits", func() bool { return g.metric("tapecast_recall_times_waiting") == 0 })
}
