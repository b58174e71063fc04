package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func TestEmbeddedKeepsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	topics := []TopicSpec{{Name: "a", Partitions: 2}, {Name: "b", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}}
	for round := range 2 {
		e, err := StartEmbedded(t.Context(), topics, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPublisher(e.Addrs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, off, err := p.Publish(t.Context(), "b", "k", []byte("1"), nil)
		if err != nil || off != int64(round) {
			t.Errorf("round %d: offset %d, %v", round, off, err)
		}
		p.Close()
		e.Stop()
	}
}

func TestEmbeddedRefuses(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartEmbedded(ended, nil, "", nil); err == nil {
		t.Error("starts although its context has ended")
	}
	// Kafka refuses names that differ only in a dot and an underscore.
	if _, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "a.b", Partitions: 1}, {Name: "a_b", Partitions: 1}}, "", nil); err == nil || !strings.Contains(err.Error(), `"a_b"`) {
		t.Errorf("two topics whose names collide: %v", err)
	}
	if _, err := StartEmbedded(t.Context(), nil, "/dev/null/x", nil); err == nil {
		t.Error("a data folder that cannot be made is taken")
	}
}

func TestPublisher(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "a", Partitions: 3}}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	p, err := NewPublisher(e.Addrs(), map[string]string{"linger.ms": "1"})
	if err != nil {
		t.Fatal(err)
	}
	part, off, err := p.Publish(t.Context(), "a", "42", []byte(`{"x":1}`), map[string]string{"h": "v"})
	if err != nil || part != murmur2([]byte("42"), 3) || off != 0 {
		t.Errorf("published at %d:%d, %v", part, off, err)
	}
	if _, _, err := p.Publish(t.Context(), "a", "", nil, nil); err != nil {
		t.Errorf("a tombstone without key: %v", err)
	}
	seen := 0
	consumeAll(t, e.Addrs(), []string{"a"}, func(m *kafka.Message) bool {
		if string(m.Key) == "42" && (string(m.Value) != `{"x":1}` || len(m.Headers) != 1 || m.Headers[0].Key != "h" || string(m.Headers[0].Value) != "v") {
			t.Errorf("%s with headers %v", m.Value, m.Headers)
		}
		seen++
		return seen < 2
	})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := p.Publish(short, "no-such-topic", "", []byte("1"), nil); err == nil || !strings.Contains(err.Error(), "no-such-topic") {
		t.Errorf("a topic that is not there: %v", err)
	}
	p.Close()
	p.Close()
	if _, _, err := p.Publish(t.Context(), "a", "", []byte("1"), nil); err == nil {
		t.Error("a closed publisher publishes")
	}
}

func TestPublisherRefuses(t *testing.T) {
	f := func(props map[string]string, words string) {
		t.Helper()
		if _, err := NewPublisher([]string{"127.0.0.1:1"}, props); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v: %v, want %q", props, err, words)
		}
	}
	f(map[string]string{"acks": "1"}, `kafka.librdkafka.acks is "1", but must be "all"`)
	f(map[string]string{"go.batch.producer": "true"}, "no property of librdkafka")
	f(map[string]string{"no.such": "1"}, "no.such")
}

// Every partitioner puts keys where librdkafka's own does.
func TestPartitionersAsProducersDo(t *testing.T) {
	t.Parallel()
	const parts = 7
	var topics []TopicSpec
	for name := range partitioners {
		topics = append(topics, TopicSpec{Name: name, Partitions: parts})
	}
	e, err := StartEmbedded(t.Context(), topics, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	for name, by := range partitioners {
		p, err := NewPublisher(e.Addrs(), map[string]string{"partitioner": name})
		if err != nil {
			t.Fatal(err)
		}
		reports := make(chan kafka.Event, 100)
		for i := range cap(reports) {
			key := fmt.Sprintf("%d-%s", i*i, strings.Repeat("é\xff", i%5))
			err := p.producer.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &name, Partition: kafka.PartitionAny}, Key: []byte(key), Opaque: key}, reports)
			if err != nil {
				t.Fatal(err)
			}
		}
		for range cap(reports) {
			m := (<-reports).(*kafka.Message)
			key := m.Opaque.(string)
			if got, want := by([]byte(key), parts), m.TopicPartition.Partition; got != want || m.TopicPartition.Error != nil {
				t.Errorf("%s of %q: %d, librdkafka says %d (%v)", name, key, got, want, m.TopicPartition.Error)
			}
		}
		p.Close()
	}
}
