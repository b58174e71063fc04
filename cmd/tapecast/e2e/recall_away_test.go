package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// notNow asks to resume from a position. The answer must be -32010 with a time.
func notNow(t *testing.T, c *client, room string, since any) {
	t.Helper()
	ask := map[string]any{"rooms": []string{room}, "since": map[string]any{room: since}}
	list := roomReplies(c.call("subscribe", ask).Result)
	if len(list) != 1 || list[0].Error == nil {
		t.Fatalf("from %v, without Kafka: %+v", since, list)
	}
	if e := list[0].Error; e.Code != -32010 {
		t.Fatalf("from %v, without Kafka: %d %s", since, e.Code, e.Message)
	}
	var data struct{ RetryAfter int }
	if err := json.Unmarshal(list[0].Error.Data, &data); err != nil || data.RetryAfter <= 0 {
		t.Fatalf("no retryAfter: %s", list[0].Error.Data)
	}
}

// TestResumeWithoutKafka: while Kafka is away, clients that need it are told to come again, by
// position and by time, and they do. The room is not joined meanwhile.
func TestResumeWithoutKafka(t *testing.T) {
	besideOthers(t)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	var away atomic.Bool
	broker.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if away.Load() {
			return nil, errors.New("away"), true // the connection ends
		}
		return nil, nil, false
	})
	k := &cluster{kind: "kfake", brokers: strings.Join(broker.ListenAddrs(), ","), n: 1}
	w := k.producer(t)
	g := start(t, config(k, greedyConfig))
	begin := time.Now()
	for i := range 30 {
		w.sendAt("orders", int32(i%3), []byte("m1"), fmt.Append(nil, i), begin.Add(time.Duration(i-30)*time.Second))
	}
	w.flush()
	eventually(t, patience, "all is read", func() bool { return g.metric("tapecast_ingest_records_total") == 30 })
	epoch := epochIn(t, g, "m1", "orders:m1")
	g.forgets()
	c := dial(t, g, dialing{query: "?token=" + g.token("m1")})
	at := map[string]any{"epoch": epoch, "0": 4, "1": 4, "2": 4}
	ts := map[string]any{"ts": begin.Add(-15 * time.Second).UnixMilli()}
	away.Store(true)
	notNow(t, c, "orders:m1", at)
	notNow(t, c, "orders:m1", ts)
	if n := g.metric("tapecast_subscriptions"); n != 0 {
		t.Errorf("%v rooms were joined", n)
	}
	away.Store(false)
	for n, since := range []any{at, ts} {
		c := c
		if n > 0 {
			c = dial(t, g, dialing{query: "?token=" + g.token("m1")})
		}
		if r, err := goneOn(c, "orders:m1", since); err != nil || r.Error != nil {
			t.Fatalf("from %v, with Kafka: %v %+v", since, err, r)
		}
		c.await("what came after", func() bool { return len(c.rooms["orders:m1"].frames) == 15 })
		c.check()
	}
	if n := g.metric("tapecast_recall_handed_bytes"); n != 0 {
		eventually(t, patience, "nothing is held", func() bool { return g.metric("tapecast_recall_handed_bytes") == 0 })
	}
}

// epochIn returns the topic's epoch, as a join of the room by the user shows it.
func epochIn(t *testing.T, g *gateway, user, room string) string {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + g.token(user)})
	defer c.leave()
	r := roomReplies(c.call("subscribe", map[string]any{"rooms": []string{room}}).Result)
	if len(r) != 1 || r[0].Error != nil {
		t.Fatalf("subscribe: %+v", r)
	}
	return r[0].Positions.epoch
}

// TestResumeBeforeKafka: a gateway whose Kafka is not up yet tells clients that resume to come
// again, and serves them when it is.
func TestResumeBeforeKafka(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	k := &cluster{kind: "kfake", brokers: fmt.Sprint("127.0.0.1:", port), n: 1}
	file := filepath.Join(t.TempDir(), "tapecast.yaml")
	if err := os.WriteFile(file, []byte(config(k, greedyConfig)), 0o600); err != nil {
		t.Fatal(err)
	}
	g := launch(t, "run", "--config", file)
	c := dial(t, g, dialing{query: "?token=" + g.token("m1")})
	ts := map[string]any{"ts": time.Now().Add(-time.Hour).UnixMilli()}
	notNow(t, c, "orders:m1", ts)
	notNow(t, c, "orders:m1", map[string]any{"epoch": "e", "0": 4})

	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	w := k.producer(t)
	for i := range 9 {
		w.send("orders", int32(i%3), []byte("m1"), fmt.Append(nil, i))
	}
	w.flush()
	r, err := goneOn(c, "orders:m1", ts)
	if err != nil || r.Error != nil {
		t.Fatalf("%v %+v", err, r)
	}
	c.await("all nine", func() bool { return len(c.rooms["orders:m1"].frames) == 9 })
	c.check()
}
