package ingest

import (
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
