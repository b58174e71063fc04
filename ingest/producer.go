package ingest

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Producer is a librdkafka producer with everything that comes out of it
// drained. Its methods may be called from any goroutine.
type Producer struct {
	*kafka.Producer
	done chan struct{}
	wg   sync.WaitGroup
	once sync.Once
}

// NewProducer makes a producer. ours are its properties, theirs what the operator says of
// them, and fixed those that must not be changed. reported gets the delivery report of every
// record that is produced without a channel of its own; nil: nobody does.
func NewProducer(
	brokers []string, ours, theirs, fixed map[string]string, log *slog.Logger, reported func(*kafka.Message),
) (*Producer, error) {
	conf, err := settings(brokers, ours, theirs, fixed)
	if err != nil {
		return nil, err
	}
	return newProducer(conf, orDiscard(log), reported, nil)
}

// newProducer makes a producer. reported gets the delivery report of every
// record produced without a channel of its own, and faults what the client says of
// brokers; either may be nil.
func newProducer(
	conf *kafka.ConfigMap, log *slog.Logger, reported func(*kafka.Message), faults *brokerFaults,
) (*Producer, error) {
	// Both have room for a million by default, 24 MB together.
	(*conf)["go.events.channel.size"] = 1024
	(*conf)["go.produce.channel.size"] = 1
	(*conf)["go.delivery.report.fields"] = "none" // place and error are enough
	lines := logsTo(conf)
	made, err := kafka.NewProducer(conf)
	if err != nil {
		return nil, fmt.Errorf("cannot make a Kafka producer: %w", err)
	}
	p := &Producer{Producer: made, done: make(chan struct{})}
	p.wg.Add(2)
	go func() {
		defer p.wg.Done()
		drainLogs(lines, log, faults, p.done)
	}()
	go func() {
		defer p.wg.Done()
		for ev := range made.Events() {
			switch ev := ev.(type) {
			case *kafka.Message:
				if reported != nil {
					reported(ev)
				}
			case kafka.Error:
				if faults != nil {
					faults.failed(ev.Code(), ev.Error())
				}
			}
		}
	}()
	return p, nil
}

// Stop gives what is under way some time and ends the producer.
func (p *Producer) Stop(flush time.Duration) {
	p.once.Do(func() {
		p.Flush(int(flush.Milliseconds()))
		p.Close()
		close(p.done)
		p.wg.Wait()
	})
}
