package e2e

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms/testwait"
)

// anyPartition leaves the choice to librdkafka's partitioner.
const anyPartition = kafka.PartitionAny

// producer writes a test's records, each once. They are acknowledged by all replicas. The
// producer is idempotent, so a retry during a fault makes no second record.
type producer struct {
	t    testing.TB
	k    *cluster
	p    *kafka.Producer
	sent atomic.Int64
	done atomic.Int64

	mu     sync.Mutex
	failed []string
	drain  sync.WaitGroup
	beside sync.WaitGroup
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
	w := &producer{t: t, k: k, p: p}
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
		w.beside.Wait()
		p.Close()
		w.drain.Wait()
	})
	return w
}

// meanwhile runs f, which sends, beside the test. The first send after the test has failed
// ends it.
func (w *producer) meanwhile(f func()) (ended <-chan struct{}) {
	done := make(chan struct{})
	w.beside.Go(func() {
		defer close(done)
		f()
	})
	return done
}

// send queues a record. A nil key: none. A nil value: a tombstone.
func (w *producer) send(topic string, partition int32, key, value []byte, headers ...kafka.Header) {
	w.put(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition}, Key: key,
		Value: value, Headers: headers})
}

// sendAt is send with a timestamp.
func (w *producer) sendAt(topic string, partition int32, key, value []byte, at time.Time) {
	w.put(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition}, Key: key,
		Value: value, Timestamp: at})
}

func (w *producer) put(m *kafka.Message) {
	topic := w.k.name(*m.TopicPartition.Topic)
	m.TopicPartition.Topic = &topic
	for {
		if w.t.Context().Err() != nil {
			runtime.Goexit()
		}
		err := w.p.Produce(m, nil)
		if err == nil {
			w.sent.Add(1)
			return
		}
		if e, ok := err.(kafka.Error); !ok || e.Code() != kafka.ErrQueueFull {
			w.t.Errorf("cannot produce to %s: %v", *m.TopicPartition.Topic, err)
			return
		}
		w.p.Flush(1) // until some are sent
	}
}

// awaitMore waits until so many records more are acknowledged. Any goroutine may.
func (w *producer) awaitMore(n int) {
	to := w.done.Load() + int64(n)
	if !testwait.Holds(time.Minute, func() bool { return w.done.Load() >= to }) {
		w.t.Errorf("%d more records were not produced", n)
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
