package ingest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// recallClient is a librdkafka consumer of its own for reading again, so that
// live reading goes on beside it.
type recallClient struct {
	client *kafka.Consumer
	poll   *poller
	done   chan struct{}
}

func newRecallClient(c *Consumer) (*recallClient, error) {
	conf, err := settings(c.cfg.Brokers, readerSettings(c.cfg), c.cfg.Librdkafka, map[string]string{
		"enable.auto.commit":       "false",
		"enable.auto.offset.store": "false",
		"enable.partition.eof":     "true",
		"auto.offset.reset":        "error",
	})
	if err != nil {
		return nil, err
	}
	lines := logsTo(conf)
	client, err := kafka.NewConsumer(conf)
	if err != nil {
		return nil, fmt.Errorf("cannot make a Kafka consumer: %w", err)
	}
	poll, err := newPoller(client)
	if err != nil {
		client.Close()
		return nil, err
	}
	r := &recallClient{client, poll, make(chan struct{})}
	go drainLogs(lines, c.log, r.done)
	return r, nil
}

func (r *recallClient) close() {
	r.poll.close()
	r.client.Close()
	close(r.done)
}

// readAgain is one stretch while it is read.
type readAgain struct {
	stretch
	rooms map[string][]rooms.Record
	next  int64
}

// read reads stretches of different partitions and adds them to k. After an
// error what k holds is of no use.
func (r *recallClient) read(ctx context.Context, a *recaller, k *recalled, list []stretch) error {
	open := map[int32]*readAgain{}
	var at []kafka.TopicPartition
	for _, s := range list {
		open[s.part] = &readAgain{stretch: s, rooms: map[string][]rooms.Record{}, next: s.from}
		at = append(at, kafka.TopicPartition{Topic: &k.topic.name, Partition: s.part, Offset: kafka.Offset(s.from)})
	}
	// Else librdkafka looks for the leaders of a topic that is new to it when its timer
	// next comes round, after up to a second. It still does where this fails.
	_, _ = r.client.GetMetadata(&k.topic.name, false, int(reachTimeout.Milliseconds()))
	if err := r.client.Assign(at); err != nil {
		return fmt.Errorf("cannot read topic %q again: %w", k.topic.name, err)
	}
	defer r.client.Unassign()
	var into *readAgain
	var full error
	dec := newDecoder(a.c.cfg.MaxRecord, func(rec *rooms.Record) {
		one := *rec
		one.Key, one.Room = bytes.Clone(rec.Key), nil
		into.rooms[string(rec.Room)] = append(into.rooms[string(rec.Room)], one)
		if err := a.room(k, recordSize+int64(len(rec.Key)+len(rec.Value))); err != nil {
			full = err
		}
	})
	var rec record
	end := func(s *readAgain) {
		delete(open, s.part)
		k.add(s.stretch, s.rooms)
		a.figures.reads.Add(1)
		if len(open) > 0 { // or it would go on being read
			_ = r.client.IncrementalUnassign([]kafka.TopicPartition{{Topic: &k.topic.name, Partition: s.part}})
		}
	}
	for len(open) > 0 {
		if err := ctx.Err(); err != nil {
			return errSlow
		}
		for i := range r.poll.poll(pollWait) {
			e := r.poll.event(i)
			into = open[int32(e.partition)]
			if into == nil && e.kind != polledError {
				continue // of a stretch that has ended
			}
			switch e.kind {
			case polledRecord:
				if int64(e.offset) < into.next {
					continue
				}
				if into.next = int64(e.offset) + 1; into.next > into.to {
					end(into)
					continue
				}
				e.fill(&rec)
				if k.topic.routes.headers {
					rec.headers = e.headers()
				}
				dec.route(k.topic.routes, &rec) // a fault was counted when it was read first
				a.figures.records.Add(1)
				a.figures.bytes.Add(uint64(len(rec.key) + len(rec.value)))
				if full != nil {
					return full
				}
				if into.next == into.to {
					end(into)
				}
			case polledEnd:
				if int64(e.offset) >= into.to {
					end(into)
				}
			case polledError:
				if code, said := e.fault(); code == kafka.ErrAutoOffsetReset || code == kafka.ErrFatal {
					return fmt.Errorf("cannot read topic %q again: %s", k.topic.name, said)
				}
			}
		}
	}
	return nil
}
