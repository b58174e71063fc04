package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const topicsConfig = `
rooms:
  - {match: "ticks", class: stream}
auto_join: [ticks]
ingest:
  routes:
    - {topic: TOPIC, rooms: [ticks], key: "{@key}", type: tick}
`

// TestTopicThatComesLater: the gateway starts before its topic exists, and delivers all of it
// later.
func TestTopicThatComesLater(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		g := launch(t, "run", "--config",
			written(t, "c.yaml", config(k, strings.Replace(topicsConfig, "TOPIC", "later", 1))))
		g.waitLog(patience, "topic does not exist; waiting for it", nil)
		if status, body := g.get("/readyz"); status != 503 || !strings.Contains(body, "later") {
			t.Errorf("readyz without the topic: %d %s, want 503 and its name", status, body)
		}
		c := join(t, g, "1")
		k.topic(t, "later", 2)
		w := k.producer(t)
		for i := range 200 {
			w.send("later", int32(i%2), []byte("k"), fmt.Appendf(nil, `{"i":%d}`, i))
		}
		w.flush()
		g.ready()
		c.await("all of it", func() bool { return len(c.rooms["ticks"].frames) >= 200 })
		sameAsTopic(t, c, "ticks", k.read(t, "later"))
		c.check()
	})
}

// TestTransactions: aborted records are never delivered. The offsets of these and of the markers
// are not a loss: the chain skips them.
func TestTransactions(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "ledger", 2)
		g := start(t, config(k, strings.Replace(topicsConfig, "TOPIC", "ledger", 1)))
		c := join(t, g, "1")

		p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": k.brokers, "transactional.id": "e2e",
			"enable.metrics.push": false, "log_level": 0})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		go func() {
			for range p.Events() { // delivery reports; the commit waits for them itself
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.InitTransactions(ctx); err != nil {
			t.Fatal(err)
		}
		topic, committed := k.name("ledger"), 0
		for tx := range 12 {
			if err := p.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic,
					Partition: int32(i % 2)}, Key: []byte("k"),
					Value: fmt.Appendf(nil, `{"tx":%d,"i":%d,"aborted":%v}`, tx, i, tx%3 == 1)}, nil)
				if err != nil {
					t.Fatal(err)
				}
			}
			if tx%3 == 1 {
				p.Flush(5000) // so that there is something to abort
				err = p.AbortTransaction(ctx)
			} else {
				committed += 10
				err = p.CommitTransaction(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c.await("all that was committed", func() bool { return len(c.rooms["ticks"].frames) >= committed })
		sameAsTopic(t, c, "ticks", k.read(t, "ledger"))
		c.mu.Lock()
		for _, f := range c.rooms["ticks"].frames {
			if strings.Contains(string(f.data), `"aborted":true`) {
				t.Fatalf("%s was delivered", f.data)
			}
		}
		c.mu.Unlock()
		c.check()
	})
}
