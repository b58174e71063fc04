package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// ErrClosed is what a closed Publisher answers.
var ErrClosed = errors.New("the publisher is closed")

// Publisher produces single records and waits for each to be stored on all
// replicas that are in sync. Its methods may be called from any goroutine.
type Publisher struct {
	producer *Producer
	closing  chan struct{}

	mu     sync.RWMutex // held for reading by who uses producer
	closed bool
}

// NewPublisher makes a publisher. It does not wait for a broker.
func NewPublisher(brokers []string, librdkafka map[string]string) (*Publisher, error) {
	conf, err := publisherConf(brokers, librdkafka)
	if err != nil {
		return nil, err
	}
	p := &Publisher{closing: make(chan struct{})}
	p.producer, err = newProducer(conf, orDiscard(nil), nil, nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Publish produces one record and waits until it is stored. An empty key means
// a partition by chance; a nil value is a tombstone. When ctx ends first, the
// record may still be stored later.
func (p *Publisher) Publish(ctx context.Context, topic, key string, value []byte, headers map[string]string) (partition int32, offset int64, err error) {
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Value: value}
	if key != "" {
		m.Key = []byte(key)
	}
	for k, v := range headers {
		m.Headers = append(m.Headers, kafka.Header{Key: k, Value: []byte(v)})
	}
	report := make(chan kafka.Event, 1)
	if err := p.produce(m, report); err != nil {
		return 0, 0, fmt.Errorf("cannot publish to %q: %w", topic, err)
	}
	select {
	case ev := <-report:
		at := ev.(*kafka.Message).TopicPartition
		if at.Error != nil {
			return 0, 0, fmt.Errorf("cannot publish to %q: %w", topic, at.Error)
		}
		return at.Partition, int64(at.Offset), nil
	case <-ctx.Done():
		return 0, 0, fmt.Errorf("cannot publish to %q in time: %w", topic, ctx.Err())
	case <-p.closing:
		return 0, 0, fmt.Errorf("cannot publish to %q: %w", topic, ErrClosed)
	}
}

func (p *Publisher) produce(m *kafka.Message, report chan kafka.Event) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.producer.Produce(m, report)
}

// Close gives what is under way up to two seconds and ends the publisher.
func (p *Publisher) Close() {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	if was {
		return
	}
	p.producer.Flush(2000)
	close(p.closing)
	p.producer.Stop(0)
}
