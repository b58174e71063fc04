package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const wildcardConfig = `
limits:
  {messages_per_second: 0, request_cost: 0, rooms_per_wildcard: 40, wildcards_per_connection: 2,
   rooms_per_connection: 60}
rooms:
  - {match: "deals:*", class: stream}
  - {match: "quotes:*", class: market}
auto_join: []
ingest:
  routes:
    - {topic: deals, rooms: ["deals:{s}"], type: deal}
    - {topic: quotes, rooms: ["quotes:{s}"], key: "{s}", type: quote}
`

// wildcardFeed writes records of both topics.
type wildcardFeed struct {
	w *producer
	n int
}

func (f *wildcardFeed) put(symbol string, times int) {
	for range times {
		f.n++
		value := fmt.Appendf(nil, `{"s":%q,"n":%d}`, symbol, f.n)
		for _, topic := range []string{"deals", "quotes"} {
			f.w.send(topic, partitionOf(symbol, 3), []byte(symbol), value)
		}
	}
}

// TestWildcards: rooms are joined by pattern. Those that appear later are joined from their first
// record on. A client that comes back resumes in all of them.
func TestWildcards(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		for _, topic := range []string{"deals", "quotes"} {
			k.topic(t, topic, 3)
		}
		g := start(t, config(k, wildcardConfig))
		f := &wildcardFeed{w: k.producer(t)}
		f.begins(t, g)
		clients := wildcardClients(t, g)
		if n := g.metric("tapecast_wildcards"); n != 8 {
			t.Errorf("%v wildcards are held, not 8", n)
		}
		fickle := join(t, g, "fickle")
		f.grows(t, fickle)
		deals, quotes := k.read(t, "deals"), k.read(t, "quotes")
		for i, c := range clients {
			wantWildcard(t, c, "deals:", []string{"A", ""}[(i%3)%2], deals, "A1")
			if i%3 == 2 {
				wantNewest(t, c, "quotes:A", quotes)
			}
			c.check()
		}
		fickle.check()
		t.Run("bad", func(t *testing.T) { f.badWildcards(t, g) })
		t.Run("resume", func(t *testing.T) {
			left := f.resumesInRooms(t, k, g, clients[0])
			f.resumesByWildcard(t, k, g, left)
		})
	})
}

// begins makes rooms before there is a wildcard. Some of them have a member.
func (f *wildcardFeed) begins(t *testing.T, g *gateway) {
	t.Helper()
	keeper := join(t, g, "keeper")
	keeper.call("subscribe", map[string]any{"rooms": []string{"deals:A0", "deals:B0", "deals:Aempty"}})
	for _, s := range []string{"A0", "A1", "B0"} {
		f.put(s, 5)
	}
	f.w.flush()
	keeper.await("the first records", func() bool {
		return len(keeper.rooms["deals:A0"].frames) == 5 && len(keeper.rooms["deals:B0"].frames) == 5
	})
	eventually(t, patience, "the rest of them", func() bool {
		return g.metric("tapecast_ingest_records_total") >= float64(f.w.sent.Load())
	})
}

func subscribed(t *testing.T, c *client, names ...string) []roomReply {
	t.Helper()
	r := c.call("subscribe", map[string]any{"rooms": names})
	if r.Error != nil {
		t.Fatalf("cannot subscribe: %+v", r.Error)
	}
	return roomReplies(r.Result)
}

// wildcardClients returns clients with one or two wildcards each.
func wildcardClients(t *testing.T, g *gateway) (clients []*client) {
	t.Helper()
	for i := range 6 {
		c := join(t, g, fmt.Sprint("w", i))
		names := [][]string{{"deals:A*"}, {"deals:*"}, {"deals:A*", "quotes:A*"}}[i%3]
		list := subscribed(t, c, names...)
		var in []string
		for _, r := range list[0].Rooms {
			in = append(in, r.Room)
		}
		if want := []string{"deals:A0", "deals:A0 deals:B0"}[(i%3)%2]; list[0].Status != "joined" ||
			strings.Join(in, " ") != want {
			t.Errorf("%s joined %q, want %s: %+v", names[0], in, want, list[0])
		}
		clients = append(clients, c)
	}
	return clients
}

// grows makes more rooms, while one client leaves and comes back.
func (f *wildcardFeed) grows(t *testing.T, fickle *client) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			subscribed(t, fickle, "deals:*", "quotes:*")
			fickle.call("unsubscribe", map[string]any{"rooms": []string{"deals:*", "quotes:*"}})
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for round := range 3 {
		for i := range 15 {
			f.put(fmt.Sprint("A", 10+i), 1+round)
			f.put(fmt.Sprint("B", 10+i), 1)
			if i%5 == 0 {
				f.w.flush()
			}
		}
	}
	f.put("Aempty", 3)
	f.w.flush()
	close(stop)
	within(t, patience, "the fickle client's end", stopped)
}

func (f *wildcardFeed) badWildcards(t *testing.T, g *gateway) {
	c := join(t, g, "bad")
	say := func(name string, code int, words string) {
		t.Helper()
		r := subscribed(t, c, name)[0]
		if r.Error == nil || r.Error.Code != code || !strings.Contains(r.Error.Message, words) {
			t.Errorf("%s: %+v %+v, want %d and %q", name, r, r.Error, code, words)
		}
	}
	say("*", -32006, "a wildcard must begin with")
	say("deals*", -32006, `such as "deals:*"`)
	say("deals:*A", -32006, "only a * at the end")
	f.put("C", 1)
	for i := range 41 {
		f.put(fmt.Sprint("X", i), 1)
	}
	f.w.flush()
	eventually(t, patience, "41 rooms", func() bool {
		r := subscribed(t, c, "quotes:X*")[0]
		if r.Error == nil {
			c.call("unsubscribe", map[string]any{"rooms": []string{"quotes:X*"}})
			return false
		}
		return r.Error.Code == -32009 &&
			strings.Contains(r.Error.Message,
				"the wildcard has more rooms than rooms_per_wildcard, which is 40")
	})
	subscribed(t, c, "deals:Y*")
	for i := range 41 {
		f.put(fmt.Sprint("Y", i), 1)
		f.w.flush()
	}
	c.await("the notice that deals:Y* is full", func() bool {
		return slices.ContainsFunc(c.notices, func(n notice) bool {
			return n.Method == "limit" &&
				strings.Contains(string(n.Params), `{"pattern":"deals:Y*","room":"deals:Y`) &&
				strings.Contains(string(n.Params), `"limit":"rooms_per_wildcard","most":40}`)
		})
	})
	if n := g.metric("tapecast_wildcards_full_total"); n < 1 {
		t.Errorf("%v wildcards have become full", n)
	}
	c.check()
}

func frames(c *client) (n int) {
	for _, r := range c.rooms {
		n += len(r.frames)
	}
	return n
}

// wantWildcard waits until a client of a wildcard has all records of its rooms. Of rooms that appeared
// after it came, it has them from the first on. In each room, what it has is the topic's, from the
// position that it was given.
func wantWildcard(t *testing.T, c *client, pattern, prefix string, topic [][]record, before ...string) {
	t.Helper()
	want := map[string][]record{}
	for _, part := range topic {
		for _, r := range part {
			if s := string(r.key); strings.HasPrefix(s, prefix) {
				want[pattern+s] = append(want[pattern+s], r)
			}
		}
	}
	for _, s := range before { // it had records, and no member, before
		delete(want, pattern+s)
	}
	for name, all := range want {
		part := partitionOf(string(all[0].key), 3)
		c.await(name, func() bool {
			r := c.rooms[name]
			return r != nil && r.seenAt(part) >= all[len(all)-1].offset
		})
		c.mu.Lock()
		r := c.rooms[name]
		missed := 0
		for len(all) > 0 && all[0].offset <= r.from(part) {
			all, missed = all[1:], missed+1
		}
		if old := strings.HasSuffix(name, ":A0") || strings.HasSuffix(name, ":B0"); !old && missed > 0 {
			t.Errorf("client %s: %s began after %d records", c.name, name, missed)
		}
		same := len(r.frames) == len(all)
		for i := 0; same && i < len(all); i++ {
			same = r.frames[i].off == all[i].offset && bytes.Equal(r.frames[i].data, all[i].value)
		}
		if !same {
			t.Errorf("client %s: %s has %d frames, which are not the topic's %d", c.name, name, len(r.frames), len(all))
		}
		c.mu.Unlock()
	}
}

// wantNewest waits until the newest value of each matching room has come.
func wantNewest(t *testing.T, c *client, prefix string, topic [][]record) {
	t.Helper()
	for _, part := range topic {
		newest := map[string]record{}
		for _, r := range part {
			newest["quotes:"+string(r.key)] = r
		}
		for name, r := range newest {
			if strings.HasPrefix(name, prefix) {
				c.await(name, func() bool {
					room := c.rooms[name]
					return room != nil && bytes.Equal(room.values[string(r.key)].data, r.value)
				})
			}
		}
	}
}

// sameAsSince compares a resumed room with what came after the position of its leave.
func sameAsSince(t *testing.T, r *room, name string, topic [][]record, left roomReply) {
	t.Helper()
	symbol := strings.TrimPrefix(name, "deals:")
	part := partitionOf(symbol, 3)
	i := 0
	for _, was := range left.Rooms {
		if was.Room != name {
			continue
		}
		for _, rec := range topic[part] {
			if string(rec.key) != symbol || rec.offset <= was.Positions.at[part] {
				continue
			}
			if i >= len(r.frames) || r.frames[i].off != rec.offset {
				t.Errorf("%s lacks %d:%d", name, part, rec.offset)
				return
			}
			i++
		}
	}
	if i != len(r.frames) {
		t.Errorf("%s has %d frames more than came", name, len(r.frames)-i)
	}
}
