package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// writer produces records for a test.
type writer struct {
	t testing.TB
	p *Producer
}

func newWriter(t testing.TB, brokers []string, props map[string]string) *writer {
	t.Helper()
	ours := map[string]string{
		"linger.ms": "1", "message.max.bytes": "20000000", "enable.idempotence": "true",
		"partitioner": "murmur2_random",
	}
	p, err := NewProducer(brokers, ours, props, nil, nil, func(m *kafka.Message) {
		if m.TopicPartition.Error != nil {
			t.Errorf("cannot produce: %v", m.TopicPartition.Error)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	return &writer{t, p}
}

// put produces a record to a partition (-1: by key) and does not wait.
func (w *writer) put(topic string, part int32, key, value string) {
	w.t.Helper()
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: part}, Key: []byte(key)}
	if value != "null" {
		m.Value = []byte(value)
	}
	w.send(m)
}

// send produces a record, and waits while the producer's queue is full.
func (w *writer) send(m *kafka.Message) {
	w.t.Helper()
	for {
		err := w.p.Produce(m, nil)
		var kerr kafka.Error
		if errors.As(err, &kerr) && kerr.Code() == kafka.ErrQueueFull {
			err = sleepUntil(w.t.Context(), time.Now().Add(time.Millisecond))
		} else if err == nil {
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// numbers produces {"n":from} to {"n":to-1}, each to the partition n%parts.
func (w *writer) numbers(topic string, parts, from, to int) {
	w.t.Helper()
	for n := from; n < to; n++ {
		w.put(topic, int32(n%parts), strconv.Itoa(n%7), fmt.Sprintf(`{"n":%d}`, n))
	}
}

func (w *writer) flush() {
	w.t.Helper()
	if left := w.p.Flush(30_000); left > 0 {
		w.t.Fatalf("%d records are not stored after 30 s", left)
	}
}

// sleepUntil waits until a time, or returns ctx's error.
func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
