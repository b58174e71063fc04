package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Producer is a librdkafka producer whose events and logs are drained. Any goroutine may use it.
type Producer struct {
	*kafka.Producer
	stopLogs func()
	events   sync.WaitGroup
	once     sync.Once
}

// NewProducer returns a producer. The operator's properties (theirs) win over ours, and may not
// contradict the fixed ones. Delivery reports of records without a channel of their own go to the
// function reported, which may be nil.
func NewProducer(
	brokers []string, ours, theirs, fixed map[string]string, log *slog.Logger, reported func(*kafka.Message),
) (*Producer, error) {
	conf, err := settings(brokers, ours, theirs, fixed)
	if err != nil {
		return nil, err
	}
	return newProducer(conf, orDiscard(log), reported, nil)
}

// newProducer returns a producer. Delivery reports of records without a channel of their own go
// to reported, and faults of brokers to faults. Either may be nil.
func newProducer(
	conf *kafka.ConfigMap, log *slog.Logger, reported func(*kafka.Message), faults *brokerFaults,
) (*Producer, error) {
	// Both have room for a million by default, 24 MB together.
	(*conf)["go.events.channel.size"] = 1024
	(*conf)["go.produce.channel.size"] = 1
	(*conf)["go.delivery.report.fields"] = "none" // a report has the partition, the offset and the error anyway
	p := &Producer{stopLogs: drainLogs(conf, log, faults.logged)}
	var err error
	if p.Producer, err = kafka.NewProducer(conf); err != nil {
		p.stopLogs()
		return nil, fmt.Errorf("cannot make a Kafka producer: %w", err)
	}
	p.events.Go(func() {
		for ev := range p.Events() {
			switch ev := ev.(type) {
			case *kafka.Message:
				if reported != nil {
					reported(ev)
				}
			case kafka.Error:
				faults.failed(ev.Code(), ev.Error())
			}
		}
	})
	return p, nil
}

// Stop ends the producer. Records under way have that long to be stored.
func (p *Producer) Stop(flush time.Duration) {
	p.once.Do(func() {
		p.Flush(int(flush.Milliseconds()))
		p.Close()
		p.stopLogs()
		p.events.Wait()
	})
}

// ErrClosed is the error of a closed Publisher.
var ErrClosed = errors.New("the publisher is closed")

// Publisher produces single records and waits until each is stored on all
// replicas that are in sync. Any goroutine may call its methods.
type Publisher struct {
	producer *Producer
	closing  chan struct{}

	mu     sync.RWMutex // held for reading while producer is used
	closed bool
}

// NewPublisher returns a publisher. It does not wait for a broker.
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

// Publish produces one record and waits until it is stored. With an empty key the partition is
// random. A nil value is a tombstone. If ctx ends first, the record may still be stored later.
func (p *Publisher) Publish(ctx context.Context, topic, key string, value []byte,
	headers map[string]string) (partition int32, offset int64, err error) {
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic,
		Partition: kafka.PartitionAny}, Value: value}
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

// Close ends the publisher. Records under way have two seconds to be stored.
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
