package ingest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestPublisher(t *testing.T) {
	t.Parallel()
	brokers := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "a")).ListenAddrs()
	p, err := NewPublisher(brokers, map[string]string{"linger.ms": "1"})
	if err != nil {
		t.Fatal(err)
	}
	part, off, err := p.Publish(t.Context(), "a", "42", []byte(`{"x":1}`), map[string]string{"h": "v"})
	if err != nil || part != 1 || off != 0 {
		t.Errorf("published at %d:%d, %v", part, off, err)
	}
	if _, _, err := p.Publish(t.Context(), "a", "", nil, nil); err != nil {
		t.Errorf("a tombstone without key: %v", err)
	}
	seen := 0
	consumeAll(t, brokers, []string{"a"}, func(m *kafka.Message) bool {
		if string(m.Key) == "42" &&
			(string(m.Value) != `{"x":1}` || len(m.Headers) != 1 || m.Headers[0].Key != "h" ||
				string(m.Headers[0].Value) != "v") {
			t.Errorf("%s with headers %v", m.Value, m.Headers)
		}
		seen++
		return seen < 2
	})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := p.Publish(short, "no-such-topic", "", []byte("1"), nil); err == nil ||
		!strings.Contains(err.Error(), "no-such-topic") {
		t.Errorf("a topic that does not exist: %v", err)
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
	f(map[string]string{"go.batch.producer": "true"}, "is not a property of librdkafka")
	f(map[string]string{"no.such": "1"}, "no.such")
}
