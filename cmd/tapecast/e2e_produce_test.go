package main_test

import (
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// anyPartition leaves the choice to librdkafka's partitioner.
const anyPartition = kafka.PartitionAny

// producer writes a test's records, each once: acknowledged by all replicas, and
// idempotent, so that a retry during a fault is no second record.
type producer struct {
	t    testing.TB
	p    *kafka.Producer
	sent atomic.Int64
	done atomic.Int64

	mu     sync.Mutex
	failed []string
	drain  sync.WaitGroup
}

func (k *cluster) producer(t testing.TB, settings ...any) *producer {
	t.Helper()
	conf := kafka.ConfigMap{
		"bootstrap.servers":                  k.brokers,
		"enable.idempotence":                 k.kind == "kafka",
		"acks":                               "all",
		"linger.ms":                          2,
		"message.max.bytes":                  8_000_000,
		"message.timeout.ms":                 180_000,
		"partitioner":                        "murmur2_random",
		"enable.metrics.push":                false,
		"log_level":                          0,
		"reconnect.backoff.max.ms":           500,
		"topic.metadata.refresh.interval.ms": 1000,
	}
	for i := 0; i < len(settings); i += 2 {
		conf[settings[i].(string)] = settings[i+1]
	}
	p, err := kafka.NewProducer(&conf)
	if err != nil {
		t.Fatal(err)
	}
	w := &producer{t: t, p: p}
	w.drain.Go(func() {
		for ev := range p.Events() {
			m, ok := ev.(*kafka.Message)
			if !ok {
				continue
			}
			if m.TopicPartition.Error != nil {
				w.mu.Lock()
				w.failed = append(w.failed, fmt.Sprintf("%v: %v", m.TopicPartition, m.TopicPartition.Error))
				w.mu.Unlock()
			}
			w.done.Add(1)
		}
	})
	t.Cleanup(func() {
		p.Close()
		w.drain.Wait()
	})
	return w
}

// send queues a record; nil key: none. nil value: a tombstone.
func (w *producer) send(topic string, partition int32, key, value []byte, headers ...kafka.Header) {
	w.put(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition}, Key: key, Value: value, Headers: headers})
}

// sendAt is send with a timestamp.
func (w *producer) sendAt(topic string, partition int32, key, value []byte, at time.Time) {
	w.put(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition}, Key: key, Value: value, Timestamp: at})
}

func (w *producer) put(m *kafka.Message) {
	for {
		err := w.p.Produce(m, nil)
		if err == nil {
			w.sent.Add(1)
			return
		}
		if e, ok := err.(kafka.Error); !ok || e.Code() != kafka.ErrQueueFull {
			w.t.Errorf("cannot produce to %s: %v", *m.TopicPartition.Topic, err)
			return
		}
		<-time.After(time.Millisecond)
	}
}

// flush waits until every record is acknowledged.
func (w *producer) flush() {
	w.t.Helper()
	for end := time.Now().Add(3 * time.Minute); w.done.Load() < w.sent.Load() && time.Now().Before(end); {
		w.p.Flush(100)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failed) > 0 {
		w.t.Fatalf("%d records were not produced, the first: %s", len(w.failed), w.failed[0])
	}
	if d, s := w.done.Load(), w.sent.Load(); d < s {
		w.t.Fatalf("%d of %d records were not acknowledged", s-d, s)
	}
}

// record is one record of a topic as the separate reader sees it.
type record struct {
	offset     int64
	ts         int64
	key, value []byte
	tombstone  bool
}

// read is the whole of a topic, by partition, read by a consumer of the test's own.
func (k *cluster) read(t testing.TB, topic string) [][]record {
	t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers":       k.brokers,
		"group.id":                "e2e-reader",
		"enable.metrics.push":     false,
		"log_level":               0,
		"enable.auto.commit":      false,
		"enable.partition.eof":    true,
		"auto.offset.reset":       "error",
		"fetch.message.max.bytes": 10_000_000,
		"isolation.level":         "read_committed",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	md, err := c.GetMetadata(&topic, false, 20_000)
	if err != nil {
		t.Fatalf("cannot read %s: %v", topic, err)
	}
	n := len(md.Topics[topic].Partitions)
	var parts []kafka.TopicPartition
	for p := range n {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: int32(p), Offset: kafka.OffsetBeginning})
	}
	if err := c.Assign(parts); err != nil {
		t.Fatalf("cannot read %s: %v", topic, err)
	}
	out := make([][]record, n)
	open := n
	for end := time.Now().Add(2 * time.Minute); open > 0; {
		if time.Now().After(end) {
			t.Fatalf("cannot read %s to its end within 2 minutes", topic)
		}
		switch ev := c.Poll(200).(type) {
		case *kafka.Message:
			p := ev.TopicPartition.Partition
			out[p] = append(out[p], record{int64(ev.TopicPartition.Offset), ev.Timestamp.UnixMilli(), ev.Key, ev.Value, ev.Value == nil})
		case kafka.PartitionEOF:
			open--
		case kafka.Error:
			if ev.IsFatal() {
				t.Fatalf("cannot read %s: %v", topic, ev)
			}
		}
	}
	return out
}

// ends is the position of the last record of each partition.
func ends(recs [][]record) map[int32]int64 {
	at := map[int32]int64{}
	for p := range recs {
		at[int32(p)] = -1
		if n := len(recs[p]); n > 0 {
			at[int32(p)] = recs[p][n-1].offset
		}
	}
	return at
}

// partitionOf places a key where the test can know it beforehand.
func partitionOf(key string, partitions int32) int32 {
	return int32(crc32.ChecksumIEEE([]byte(key)) % uint32(partitions))
}
