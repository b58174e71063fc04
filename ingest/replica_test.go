package ingest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/rooms/testwait"
)

// copyOf is a taker that keeps the newest value of each key.
type copyOf struct {
	mu     sync.Mutex
	now    map[string]string // nil: not read whole
	next   map[string]string
	begun  int
	remade int
	again  bool
}

func (c *copyOf) Begin(remade bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = map[string]string{}
	if c.begun++; remade {
		c.remade++
	}
}

func (c *copyOf) Record(_ int32, _, _ int64, fresh bool, key, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range []map[string]string{c.next, c.now} {
		switch {
		case m == nil, c.next != nil && c.now != nil && !fresh && fmt.Sprintf("%p", m) == fmt.Sprintf("%p", c.now):
		case value == nil:
			delete(m, string(key))
		default:
			m[string(key)] = string(value)
		}
	}
}

func (c *copyOf) Whole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.next = c.next, nil
}

func (c *copyOf) Again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.again
	c.again = false
	return was
}

func (c *copyOf) has(want map[string]string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now != nil && maps.Equal(c.now, want)
}

type replicaRig struct {
	t    *testing.T
	to   *copyOf
	r    *Replica
	w    *writer
	want map[string]string
}

func newReplicaRig(t *testing.T, brokers []string) *replicaRig {
	t.Helper()
	log := &logBuffer{}
	g := &replicaRig{t: t, to: &copyOf{}, want: map[string]string{}}
	g.r = NewReplica(ReplicaConfig{Brokers: brokers, Topic: "r", To: g.to, LookEvery: 100 * time.Millisecond,
		Log: slogTo(log)})
	if err := g.r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
		defer cancel()
		if err := g.r.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%+v %+v\n%s", g.r.Stats(), g.to, log)
		}
	})
	return g
}

// put writes a record; "": a tombstone.
func (g *replicaRig) put(brokers []string, part int32, key, value string) {
	g.t.Helper()
	if g.w == nil {
		g.w = newWriter(g.t, brokers, nil)
	}
	topic := "r"
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: part}, Key: []byte(key)}
	if value == "" {
		delete(g.want, key)
	} else {
		m.Value, g.want[key] = []byte(value), value
	}
	g.w.send(m)
}

func (g *replicaRig) same(what string) {
	g.t.Helper()
	eventually(g.t, what, func() bool { return g.to.has(g.want) && g.r.Stats().Why == "" })
}

// TestReplica: a topic is read whole, then followed. It is read again when partitions are added, when
// it was made again, when its log was cut, and when the taker wants that.
func TestReplica(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "r"))
	at := k.ListenAddrs()
	before := &replicaRig{t: t, want: map[string]string{}}
	for i := range 600 { // more than one batch
		before.put(at, int32(i%2), fmt.Sprint("k", i%100), fmt.Sprint(i))
	}
	before.put(at, 1, "k1", "")
	before.w.flush()
	if err := k.DeleteRecords("r", 0, 10); err != nil { // as compaction would
		t.Fatal(err)
	}
	g := newReplicaRig(t, at)
	g.w, g.want = before.w, before.want
	g.same("the topic is read")
	g.put(at, 0, "new", "1")
	g.put(at, 0, "k2", "")
	g.same("it is followed")
	if s := g.r.Stats(); !s.Whole || s.Partitions != 2 || s.Readings != 1 || s.Records != 593 {
		t.Errorf("%+v", s)
	}

	addPartitions(t, g.w, "r", 3)
	g.put(at, 2, "third", "x")
	g.same("an added partition is read")

	g.to.mu.Lock()
	g.to.again = true
	g.to.mu.Unlock()
	eventually(t, "it is read again on demand", func() bool { return g.r.Stats().Readings == 3 })
	g.same("it has all of it again")

	if err := k.DeleteTopic("r"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is known", func() bool { return strings.Contains(g.r.Stats().Why, "does not exist") })
	if g.to.remade != 0 || !g.to.has(g.want) {
		t.Error("what was read is gone with its topic")
	}
	if err := k.CreateTopic("r", 1, nil); err != nil {
		t.Fatal(err)
	}
	clear(g.want)
	g.w = nil
	g.put(at, 0, "other", "y")
	g.same("the new topic is read")
	if g.to.remade != 1 {
		t.Errorf("made again %d times", g.to.remade)
	}

	// What the old topic had is in no log any more: the taker keeps it at each further reading.
	g.to.mu.Lock()
	g.to.again = true
	begun := g.to.begun
	g.to.mu.Unlock()
	eventually(t, "it is read again", func() bool {
		g.to.mu.Lock()
		defer g.to.mu.Unlock()
		return g.to.begun > begun
	})
	if g.to.remade != 2 {
		t.Errorf("the taker may forget what was lost: told %d times", g.to.remade)
	}
}

// TestReplicaAway: without its topic or broker it is not whole, and says why. What was read stays
// when the broker goes.
func TestReplicaAway(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1))
	at := k.ListenAddrs()
	g := newReplicaRig(t, at)
	eventually(t, "the topic is missed", func() bool {
		s := g.r.Stats()
		return !s.Whole && strings.Contains(s.Why, `topic "r" does not exist; create it with cleanup.policy=compact`)
	})
	if err := k.CreateTopic("r", 1, nil); err != nil {
		t.Fatal(err)
	}
	g.put(at, 0, "k", "v")
	g.same("the topic is read")
	k.Close()
	eventually(t, "the outage is seen", func() bool {
		s := g.r.Stats()
		return strings.Contains(s.Why, "check host and port") && s.Stale > 300*time.Millisecond
	})
	if !g.to.has(g.want) {
		t.Error("what was read is gone")
	}

	nobody := newReplicaRig(t, []string{"127.0.0.1:1"})
	eventually(t, "nobody is there", func() bool {
		s := nobody.r.Stats()
		return !s.Whole && strings.Contains(s.Why, "127.0.0.1:1") && s.Stale > 0
	})
}

// TestReplicaLoss: records are deleted before they are read. The topic is read again, and the taker is
// told that records may lack.
func TestReplicaLoss(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "r"))
	at := k.ListenAddrs()
	g := newReplicaRig(t, at)
	g.put(at, 0, "k", "v")
	g.same("the topic is read")
	free := blockFetches(k)
	for i := range 5 {
		g.put(at, 0, "lost", fmt.Sprint(i))
	}
	g.w.flush()
	if err := k.DeleteRecords("r", 0, 6); err != nil {
		t.Fatal(err)
	}
	free()
	clear(g.want)
	g.same("what is left is read")
	if g.to.remade != 1 {
		t.Errorf("the taker was told %d times", g.to.remade)
	}
}

// TestReplicaCut: a log that was cut before what was read of it is read again.
func TestReplicaCut(t *testing.T) {
	p := &replicaPart{next: 10}
	f := func(next, end int64, want bool) {
		t.Helper()
		if p.next = next; p.cut(end) != want {
			t.Errorf("next %d, end %d: %v", next, end, !want)
		}
	}
	f(10, 10, false)
	f(10, 9, false) // the look may be older than the reading
	f(11, 10, false)
	f(11, 10, false)
	f(11, 11, false)
	f(11, 5, false)
	f(11, 5, false)
	f(11, 5, true)
}
