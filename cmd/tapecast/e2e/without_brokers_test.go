package e2e

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const faultsConfig = `
rooms:
  - {match: "feed", class: kept}
  - {match: "feed:*", class: kept}
classes:
  kept: {lag: close, retain: {bytes: 64MiB, age: 10m}}
auto_join: [feed]
ingest:
  routes:
    - {topic: feed, rooms: [feed, "feed:{s}"], key: "{s}", type: tick}
`

// faultRun is one cluster of three brokers, a gateway, clients that stay, and a producer that
// never stops.
type faultRun struct {
	t       *testing.T
	k       *cluster
	g       *gateway
	w       *producer
	clients []*client
	next    atomic.Int64
	pause   sync.RWMutex // held while nothing may be produced
}

// TestKafkaFaults: three real brokers. One is killed, all are down and come back, a leader is
// moved, partitions are added, the topic is deleted and created again. The clients stay
// connected, and get every record once. It waits for minutes, and should be among the first of the
// parallel tests: go test starts those with the last file.
func TestKafkaFaults(t *testing.T) {
	besideOthers(t)
	k := threeBrokers(t)
	k.topic(t, "feed", 3)
	f := &faultRun{t: t, k: k, g: start(t, config(k, faultsConfig)), w: k.producer(t)}
	for i := range 10 {
		c := join(t, f.g, fmt.Sprint("f", i))
		if i%2 == 0 {
			c.call("subscribe", map[string]any{"rooms": []string{"feed:S1", "feed:S2"}})
		}
		f.clients = append(f.clients, c)
	}
	stop := make(chan struct{})
	var producing sync.WaitGroup
	producing.Go(func() { f.produce(stop) })
	defer producing.Wait()
	defer sync.OnceFunc(func() { close(stop) })()

	f.flows("at the start")
	t.Run("one broker killed", func(*testing.T) {
		k.kill(t, 2)
		f.flows("with broker 2 dead")
		if err := k.up(); err != nil {
			t.Fatal(err)
		}
		f.flows("with broker 2 back")
	})
	t.Run("a leader moved", func(*testing.T) {
		f.electPreferred()
		f.flows("with the leaders moved back")
	})
	t.Run("all down and back", func(*testing.T) {
		k.kill(t, 0)
		f.health("degraded", "unhealthy")
		waiting := f.next.Load() + int64(scaled().outage/tickEvery)
		eventually(t, scaled().outage+patience, "the records of an outage",
			func() bool { return f.next.Load() >= waiting })
		if status, _ := f.g.get("/readyz"); status != 200 {
			t.Errorf("readyz says %d during the outage, want 200: or every node would leave at once", status)
		}
		if err := k.up(); err != nil {
			t.Fatal(err)
		}
		f.flows("with all brokers back")
		f.health("healthy")
	})
	t.Run("partitions added", func(*testing.T) {
		k.addPartitions(t, "feed", 5)
		f.flows("with two more partitions")
	})
	f.settle(5)
	t.Run("the topic made again", func(*testing.T) { f.remade() })
	for _, c := range f.clients {
		c.check()
	}
}

const tickEvery = 5 * time.Millisecond

// produce sends 200 records a second, over all partitions.
func (f *faultRun) produce(stop chan struct{}) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		f.pause.RLock()
		i := f.next.Add(1)
		f.w.send("feed", anyPartition, fmt.Appendf(nil, "k%d", i%97), fmt.Appendf(nil, `{"s":"S%d","i":%d}`, i%7, i))
		f.pause.RUnlock()
	}
}

// flows waits until each client has what is produced from now on.
func (f *faultRun) flows(when string) {
	f.t.Helper()
	mark := fmt.Sprintf(`"i":%d}`, f.next.Load()+100)
	for _, c := range f.clients {
		seen := 0
		c.awaitFor(90*time.Second, "new records "+when, func() bool {
			frames := c.rooms["feed"].frames
			for ; seen < len(frames); seen++ {
				if d := frames[seen].data; len(d) >= len(mark) && string(d[len(d)-len(mark):]) == mark {
					return true
				}
			}
			return false
		})
	}
}

func (f *faultRun) health(want ...string) {
	f.t.Helper()
	var h struct{ Status string }
	eventually(f.t, 60*time.Second, fmt.Sprint("health is one of ", want), func() bool {
		_, body, err := f.g.tryGet("/health")
		if err != nil || json.Unmarshal([]byte(body), &h) != nil {
			return false
		}
		for _, w := range want {
			if h.Status == w {
				return true
			}
		}
		return false
	})
}

// electPreferred moves leaders back to a broker that was dead.
func (f *faultRun) electPreferred() {
	f.t.Helper()
	before, after, moved := f.k.electPreferred(f.t, "feed")
	f.t.Logf("leaders of the partitions: %v, then %v", before, after)
	if !moved {
		f.t.Error("every leader was the preferred one: none has moved")
	}
}

// settle stops the producer for a moment and compares what each client has with the topic.
func (f *faultRun) settle(partitions int) {
	f.t.Helper()
	f.pause.Lock()
	defer f.pause.Unlock()
	f.w.flush()
	topic := f.k.read(f.t, "feed")
	if len(topic) != partitions {
		f.t.Fatalf("the topic has %d partitions", len(topic))
	}
	f.caughtUp(topic)
	total := 0
	for p := range topic {
		total += len(topic[p])
	}
	for _, c := range f.clients {
		sameAsTopic(f.t, c, "feed", topic)
	}
	f.t.Logf("%d records, the same at %d clients", total, len(f.clients))
}

// caughtUp waits until each client is at the end of the topic.
func (f *faultRun) caughtUp(topic [][]record) {
	f.t.Helper()
	at := ends(topic)
	for _, c := range f.clients {
		c.awaitFor(60*time.Second, "the last record", func() bool {
			for p, off := range at {
				if off >= 0 && c.rooms["feed"].last[p] < off {
					return false
				}
			}
			return true
		})
	}
}

// remade deletes the topic and creates it again with other partitions. The clients are told,
// and get the new topic from its first record.
func (f *faultRun) remade() {
	f.t.Helper()
	f.pause.Lock()
	f.w.flush()
	f.caughtUp(f.k.read(f.t, "feed"))
	before := map[*client]int{}
	for _, c := range f.clients {
		before[c] = c.has("feed")
	}
	f.k.deleteTopic(f.t, "feed")
	f.k.topic(f.t, "feed", 2)
	w := f.k.producer(f.t) // the old one may still count the old topic's sequence
	f.w = w
	f.pause.Unlock()
	for _, c := range f.clients {
		c.awaitFor(60*time.Second, "reset", func() bool { return c.rooms["feed"].resets == 1 })
	}
	f.flows("from the topic made again")
	f.pause.Lock()
	defer f.pause.Unlock()
	f.w.flush()
	topic := f.k.read(f.t, "feed")
	f.caughtUp(topic)
	for _, c := range f.clients {
		c.mu.Lock()
		c.rooms["feed"].frames = c.rooms["feed"].frames[before[c]:]
		c.mu.Unlock()
		sameAsTopic(f.t, c, "feed", topic)
	}
}
