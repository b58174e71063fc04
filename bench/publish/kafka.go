package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/bench/job"
)

// kafkaSink produces to a topic. One goroutine uses it. Delivery reports come on another.
type kafkaSink struct {
	p     *kafka.Producer
	topic string
	taken atomic.Int64
	fault atomic.Pointer[error]
	done  chan struct{}
}

// NewKafka returns a sink after it has found the topic on the brokers. The producer is
// idempotent, since a retry without idempotence may change the order.
func NewKafka(brokers []string, topic string) (Sink, error) {
	p, err := kafka.NewProducer(&kafka.ConfigMap{
		"bootstrap.servers":   strings.Join(brokers, ","),
		"enable.idempotence":  true,
		"enable.metrics.push": false,
		"linger.ms":           0, // a message is sent when it is due
		"log_level":           3,
	})
	if err != nil {
		return nil, job.Inputf("cannot make a Kafka producer for %s: %v", strings.Join(brokers, ","), err)
	}
	m, err := p.GetMetadata(&topic, false, 10_000)
	if err == nil && m.Topics[topic].Error.Code() != kafka.ErrNoError {
		err = m.Topics[topic].Error
	}
	if err != nil {
		p.Close()
		return nil, job.Inputf("cannot find topic %q on %s: %v", topic, strings.Join(brokers, ","), err)
	}
	s := &kafkaSink{p: p, topic: topic, done: make(chan struct{})}
	go s.listen()
	return s, nil
}

// listen counts what the brokers have taken. It ends with the producer.
func (s *kafkaSink) listen() {
	defer close(s.done)
	for ev := range s.p.Events() {
		m, ok := ev.(*kafka.Message)
		switch {
		case !ok: // an error of a broker: librdkafka retries, and a message that fails is reported
		case m.TopicPartition.Error != nil:
			err := m.TopicPartition.Error
			s.fault.CompareAndSwap(nil, &err)
		default:
			s.taken.Add(1)
		}
	}
}

func (s *kafkaSink) Put(_ string, key, value []byte) error {
	if err := s.fault.Load(); err != nil {
		return fmt.Errorf("cannot produce to %q: %w", s.topic, *err)
	}
	m := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &s.topic, Partition: kafka.PartitionAny},
		Key:            key,
		Value:          append([]byte(nil), value...),
	}
	for {
		err := s.p.Produce(m, nil)
		var full kafka.Error
		if err == nil || !errors.As(err, &full) || full.Code() != kafka.ErrQueueFull {
			return err
		}
		time.Sleep(time.Millisecond) // a million messages are on their way
	}
}

func (s *kafkaSink) Flush() (time.Duration, error) { return 0, nil }

func (s *kafkaSink) Close(ctx context.Context) (int64, error) {
	for s.p.Flush(100) > 0 && ctx.Err() == nil {
	}
	s.p.Close()
	<-s.done
	if err := s.fault.Load(); err != nil {
		return s.taken.Load(), fmt.Errorf("cannot produce to %q: %w", s.topic, *err)
	}
	return s.taken.Load(), nil
}

// compactedPatience is how long a broker may take to describe its topics.
const compactedPatience = 5 * time.Second

// CompactedOf returns those of the topics that are compacted, as Kafka reports them.
func CompactedOf(ctx context.Context, brokers, topics []string) (compacted []string) {
	var ask []kafka.ConfigResource
	asked := map[string]bool{"": true}
	for _, topic := range topics {
		if !asked[topic] {
			ask = append(ask, kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic})
		}
		asked[topic] = true
	}
	if len(ask) == 0 {
		return nil
	}
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{
		"bootstrap.servers":   strings.Join(brokers, ","),
		"enable.metrics.push": false, "log_level": 0,
	})
	if err != nil {
		return nil // an error here will come again when the topics are written to
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, compactedPatience)
	defer cancel()
	answers, err := admin.DescribeConfigs(ctx, ask, kafka.SetAdminRequestTimeout(compactedPatience))
	if err != nil {
		return nil
	}
	for _, a := range answers {
		if strings.Contains(a.Config["cleanup.policy"].Value, "compact") {
			compacted = append(compacted, a.Name)
		}
	}
	return compacted
}
