package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// TestResumeByTime: a client that says when it was last there gets everything younger, from Kafka
// or from memory, and then what comes.
func TestResumeByTime(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "ticks", 3)
		k.topic(t, "mine", 3)
		w := k.producer(t)
		const n = 901 // one a second, up to a quarter of an hour ago
		begin := time.Now().Truncate(time.Second).Add(-2 * n * time.Second)
		for i := range n - 1 {
			w.sendAt("ticks", int32(i%3), nil, fmt.Appendf(nil, "%d", i), begin.Add(time.Duration(i)*time.Second))
		}
		w.flush()
		g := start(t, config(k, resumeConfig))
		stay := dial(t, g, dialing{query: "?token=" + g.token("t0")})
		stay.call("subscribe", map[string]any{"rooms": []string{"ticks"}})
		// from here on the room knows each prev
		w.sendAt("ticks", 0, nil, fmt.Append(nil, n-1), begin.Add((n-1)*time.Second))
		stay.await("the last", func() bool { return len(stay.rooms["ticks"].frames) == 1 })
		gets := func(from time.Duration, first int) *client {
			t.Helper()
			return g.sinceTime(t, begin.Add(from), first, n)
		}
		all := gets(-time.Hour, 0)
		gets(100*time.Second, 100)
		gets(100*time.Second+300*time.Millisecond, 101)
		last := gets((n-1)*time.Second, n-1)
		none := gets(n*time.Second, n)
		now := gets(24*time.Hour, n) // a time in the future: from now on
		w.send("ticks", 0, nil, []byte("-1"))
		w.flush()
		for _, c := range []*client{all, last, none, now} {
			before := 0
			switch c {
			case all:
				before = n
			case last:
				before = 1
			}
			c.await("the next", func() bool { return len(c.rooms["ticks"].frames) == before+1 })
			c.check()
		}

		// A private room that had no member here.
		for i := range 10 {
			w.sendAt("mine", anyPartition, []byte("t1"), fmt.Appendf(nil, "%d", i),
				begin.Add(time.Duration(i)*time.Second))
		}
		w.flush()
		c := dial(t, g, dialing{query: "?token=" + g.token("t1")})
		r, err := goneOn(c, "mine:t1", map[string]any{"ts": begin.Add(7 * time.Second).UnixMilli()})
		if err != nil || r.Error != nil {
			t.Fatalf("a private room: %v %+v", err, r)
		}
		c.await("three of ten", func() bool { return len(c.rooms["mine:t1"].frames) == 3 })
		c.check()
	})
}

// TestResumeByTopicID: what a consumer of the topic writes down, which is the topic's id and the next
// offset of each partition, is a position on every node. The id of another topic is too old.
func TestResumeByTopicID(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "ticks", 3)
		k.topic(t, "mine", 3)
		w := k.producer(t)
		for i := range 30 {
			w.send("ticks", int32(i%3), nil, fmt.Appendf(nil, "%d", i))
		}
		w.flush()
		described, err := k.admin(t).DescribeTopics(t.Context(),
			kafka.NewTopicCollectionOfTopicNames([]string{k.name("ticks"), k.name("mine")}))
		if err != nil || len(described.TopicDescriptions) != 2 {
			t.Fatal(described, err)
		}
		ids := map[string]string{}
		for _, d := range described.TopicDescriptions {
			ids[d.Name] = d.TopicID.String()
		}
		g := start(t, config(k, resumeConfig))
		join := func(id string) (*client, *roomReply) {
			c := join(t, g, "t1")
			r, err := goneOn(c, "ticks", map[string]any{"topicId": id, "next": map[string]any{"0": 4, "1": 0, "2": 10}})
			if err != nil {
				t.Fatal(err)
			}
			return c, r
		}
		c, r := join(ids[k.name("ticks")])
		if r.Error != nil || r.Recovered == nil || !*r.Recovered {
			t.Errorf("%+v", r)
		}
		c.await("the rest", func() bool { return len(c.rooms["ticks"].frames) == 6+10 })
		c.check()
		if c, r = join(ids[k.name("mine")]); r.Error == nil || r.Error.Code != -32008 {
			t.Errorf("the id of another topic: %+v", r)
		}
		c.notice("gap")
	})
}

// sinceTime connects a client that resumes ticks from a time, and gets each number from first to n.
func (g *gateway) sinceTime(t *testing.T, from time.Time, first, n int) *client {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + g.token("t1")})
	r, err := goneOn(c, "ticks", map[string]any{"ts": from.UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Error != nil {
		t.Fatalf("%s: %+v", from, r.Error)
	}
	c.await(fmt.Sprint("all from ", first), func() bool { return len(c.rooms["ticks"].frames) == n-first })
	c.mu.Lock()
	var got []int
	for _, f := range c.rooms["ticks"].frames {
		var i int
		fmt.Sscan(string(f.data), &i)
		got = append(got, i)
	}
	c.mu.Unlock()
	slices.Sort(got)
	for i, x := range got {
		if x != first+i {
			t.Fatalf("from %s on: got %d, not %d", from, x, first+i)
		}
	}
	c.check()
	return c
}
