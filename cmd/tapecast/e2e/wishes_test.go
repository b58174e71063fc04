package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const wishesConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, max_message: 1MiB}
limits: {messages_per_second: 0, request_cost: 0}
rooms:
  - {match: "quotes", class: market}
  - {match: "ticks", class: stream}
  - {match: "ticks:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: ticks, rooms: [ticks, quotes], key: "{@key}", type: tick}
`

// TestBadWishes: what a subscribe must not ask for is answered with an error that says what to do,
// and the gateway keeps nothing of it.
func TestBadWishes(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "ticks", 3)
	g := start(t, config(k, wishesConfig))
	w := &wishing{t: t}
	w.old, w.now = ticksAgain(t, k, g)
	w.c = dial(t, g, dialing{query: "?token=" + g.token("w")})
	w.all()
	heap, goroutines := g.heap(), g.metric("go_goroutines")
	for range 20 {
		w.all()
	}
	if n := g.metric("tapecast_subscriptions"); n != 0 {
		t.Errorf("%v subscriptions came of it", n)
	}
	if grown := g.heap() - heap; grown > 256<<10 {
		t.Errorf("the heap has grown by %.0f bytes", grown)
	}
	eventually(t, patience, "the goroutines are back", func() bool { return g.metric("go_goroutines") <= goroutines })
	w.c.check()
}

// ticksAgain fills the topic, makes it again and fills that. It returns the epochs of both.
func ticksAgain(t *testing.T, k *cluster, g *gateway) (old, now string) {
	t.Helper()
	w := k.producer(t)
	watches := dial(t, g, dialing{query: "?token=" + g.token("x")})
	watches.call("subscribe", map[string]any{"rooms": []string{"ticks"}})
	for i := range 300 {
		w.send("ticks", int32(i%3), fmt.Append(nil, "k", i%7), fmt.Appendf(nil, `{"i":%d}`, i))
	}
	w.flush()
	old = epochOf(t, g)
	k.deleteTopic(t, "ticks")
	k.topic(t, "ticks", 3)
	for i := range 300 {
		w.send("ticks", int32(i%3), fmt.Append(nil, "k", i%7), fmt.Appendf(nil, `{"i":%d}`, i))
	}
	w.flush()
	eventually(t, time.Minute, "the topic that was created again", func() bool { return epochOf(t, g) != old })
	now = epochOf(t, g)
	// Or joins below are sent the rest of it.
	watches.awaitFor(time.Minute, "all of the new topic", func() bool {
		at := watches.rooms["ticks"].last
		return watches.rooms["ticks"].resets == 1 && at[0] == 99 && at[1] == 99 && at[2] == 99
	})
	watches.call("unsubscribe", map[string]any{"rooms": []string{"ticks"}})
	return old, now
}

// many returns so many names, as a list in JSON without its brackets.
func many(n int, what string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%q", fmt.Sprint(what, i))
	}
	return strings.Join(list, ",")
}

// wishing is a client that asks for what it must not. old and now are the topic's epochs.
type wishing struct {
	t        *testing.T
	c        *client
	id       int
	old, now string
}

func (w *wishing) ask(params string, code int, words string) {
	w.t.Helper()
	w.id++
	w.c.sendText(fmt.Sprintf(`{"method":"subscribe","params":%s,"id":%d}`, params, w.id))
	r := w.c.reply(fmt.Sprint(w.id))
	got := r.Error
	if got == nil {
		if list := roomReplies(r.Result); len(list) == 1 {
			if got = list[0].Error; list[0].Status == "joined" { // it may be, from now on
				if list[0].Recovered == nil || *list[0].Recovered {
					w.t.Fatalf("%.100s: %s, which says recovered", params, r.Result)
				}
				w.id++
				w.c.sendText(fmt.Sprintf(`{"method":"unsubscribe","params":["ticks"],"id":%d}`, w.id))
				w.c.reply(fmt.Sprint(w.id))
			}
		}
	}
	if got == nil || got.Code != code || !strings.Contains(got.Message, words) {
		w.t.Fatalf("%.100s: %s %+v, want %d with %q", params, r.Result, got, code, words)
	}
}

// all asks for everything that is refused.
func (w *wishing) all() {
	w.t.Helper()
	since := func(format string, args ...any) string {
		return `{"rooms":["ticks"],"since":{"ticks":` + fmt.Sprintf(format, args...) + `}}`
	}
	w.ask(since(`{"epoch":%q,"0":5,"7":5}`, w.now), -32010, "partition 7")
	w.ask(since(`{"epoch":%q,"0":-2}`, w.now), -32602, "-2")
	w.ask(since(`{"epoch":%q,"0":1000000,"1":5,"2":5}`, w.now), -32008, "partition 0 ends at offset 99")
	w.ask(since(`{"epoch":%q,"0":9223372036854775807,"1":5,"2":5}`, w.now), -32008, "partition 0 ends at offset 99")
	w.ask(since(`{"epoch":%q,"0":9223372036854775808}`, w.now), -32602, "9223372036854775808")
	w.ask(since(`{"epoch":"elsewhere","0":5}`), -32008, "elsewhere")
	w.ask(since(`{"0":5}`), -32008, "have no epoch")
	w.ask(since(`{}`), -32008, "have no epoch")
	w.ask(since(`{"epoch":%q,"00":5}`, w.now), -32602, "partition numbers")
	w.ask(`{"rooms":["ticks"],"since":{"quotes":{"ts":1699123456789}}}`, -32602, "not joined by this request")
	w.ask(since(`{"epoch":%q,"0":5,"1":5,"2":5}`, w.old), -32008, w.old)
	w.ask(`{"rooms":[`+many(10_000, "ticks:")+`]}`, -32009, "1024 rooms")
	w.ask(`{"rooms":["ticks"],"keys":[`+many(100_000, "k")+`]}`, -32009, "1024 keys")
	for _, rate := range []string{"0", "-1", `"5"`, "1e9"} {
		w.ask(`{"rooms":["ticks"],"max_rate":`+rate+`}`, -32602, "max_rate")
	}
}

// epochOf returns the topic's epoch, as a join shows it.
func epochOf(t *testing.T, g *gateway) string {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + g.token("e")})
	defer c.leave()
	r := roomReplies(c.call("subscribe", map[string]any{"rooms": []string{"ticks"}}).Result)
	if len(r) != 1 {
		t.Fatalf("subscribe: %+v", r)
	}
	return r[0].Positions.epoch
}

// TestMaxRate: five sends a second of a room with 200 messages a second. A conflated room sends the
// newest of each key, another room everything that came meanwhile.
func TestMaxRate(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "ticks", 3)
	g := start(t, config(k, wishesConfig))
	w := k.producer(t)
	const seconds, each = 5, 20
	conflated, all := &sends{}, &sends{}
	c := newCrowd(t, 2, func(n int) string { return fmt.Sprint("m", n) })
	c.frame = func(u *guest, p []byte) { []*sends{conflated, all}[u.n].take(c, u, p) }
	c.arrive(0, func(u *guest) (*gateway, string, []byte) {
		return g, "?token=" + g.token(u.user),
			request("subscribe",
				map[string]any{"rooms": []string{[]string{"quotes", "ticks"}[u.n]}, "max_rate": 5, "snapshot": false})
	})
	eventually(t, patience, "both are in", func() bool { return g.metric("tapecast_subscriptions") == 2 })
	began := time.Now()
	for i := range seconds * 200 {
		due(began, time.Duration(i)*5*time.Millisecond)
		key := fmt.Sprintf("k%02d", i%each)
		w.send("ticks", partitionOf(key, 3), []byte(key),
			fmt.Appendf(nil, `{"at":%d,"i":%d}`, time.Now().UnixNano(), i))
	}
	w.flush()
	c.await(patience, "the last of each",
		func() bool { return all.frames >= seconds*200 && conflated.last == seconds*200-1 })
	took := time.Since(began).Seconds()
	c.disperse()
	t.Logf("in %.1f s: %d frames in %d sends conflated, newest %s old; %d frames in %d sends else", took,
		conflated.frames, conflated.sends, spread(conflated.newest), all.frames, all.sends)
	for _, s := range []*sends{conflated, all} {
		if rate := float64(s.sends) / took; rate < 4 || rate > 6 {
			t.Errorf("%.1f sends a second, want 5", rate)
		}
	}
	if all.frames != seconds*200 {
		t.Errorf("%d of %d messages", all.frames, seconds*200)
	}
	if conflated.frames > conflated.sends*each {
		t.Errorf("%d frames in %d sends of %d keys: a key came twice in one", conflated.frames, conflated.sends, each)
	}
}

// sends is what one guest got.
type sends struct {
	frames, sends int
	last          int
	came          time.Time
	newest        []time.Duration // by send: the age of its first message
}

// take counts frames within 50 ms of each other as one send.
func (s *sends) take(c *crowd, g *guest, p []byte) {
	var at int64
	var n int
	_, _, _, rest, ok := posOf(p)
	i := strings.Index(string(rest), `{"at":`)
	if _, err := fmt.Sscanf(string(rest[max(i, 0):]), `{"at":%d,"i":%d}`, &at, &n); err != nil || !ok {
		c.fault(g, "%v in %.200s", err, p)
	}
	s.last = max(s.last, n) // partitions are read in any order
	now := time.Now()
	if s.frames++; now.Sub(s.came) > 50*time.Millisecond {
		s.sends++
		s.newest = append(s.newest, now.Sub(time.Unix(0, at)))
	}
	s.came = now
}
