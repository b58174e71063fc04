package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest"
	"tapecast/ingest/route"
)

// ReplayOptions say what is replayed where.
type ReplayOptions struct {
	Brokers    []string
	Librdkafka map[string]string
	File       string // see FeedFile
	Topic      string

	// Speed is how many times its own pace the feed has. Zero means as fast as
	// the broker takes it.
	Speed float64
	// Key makes the record's key; "" is none. Nil means the file's own key. See
	// KeySymbol and KeyField.
	Key func(line *FeedLine) string
	// Kind chooses the lines of one kind; empty means all.
	Kind string
	// Limit is the most lines to produce. Zero means all.
	Limit int
	// DueHeader names a header that gets the time in ns at which the record was
	// due; empty means none.
	DueHeader string
}

// ReplayResult is what became of a replay.
type ReplayResult struct {
	Produced int           // stored by the broker
	Failed   int           // given up by librdkafka
	Late     time.Duration // the most that a record was sent after it was due
	Took     time.Duration
}

// Replay produces a recorded feed into a topic, open loop: each record is due
// at its recorded time divided by Speed, and late means at once. It returns
// when all are stored, or with what was done when ctx ends.
func Replay(ctx context.Context, o ReplayOptions) (ReplayResult, error) {
	var res ReplayResult
	feed, err := OpenFeed(o.File)
	if err != nil {
		return res, err
	}
	defer feed.Close()
	var stored, failed atomic.Int64
	var why atomic.Pointer[error]
	ours := map[string]string{"linger.ms": "1", "partitioner": "murmur2_random"}
	fixed := map[string]string{"enable.idempotence": "true", "acks": "all"}
	p, err := ingest.NewProducer(o.Brokers, ours, o.Librdkafka, fixed, nil, func(m *kafka.Message) {
		if err := m.TopicPartition.Error; err != nil {
			why.CompareAndSwap(nil, &err)
			failed.Add(1)
			return
		}
		stored.Add(1)
	})
	if err != nil {
		return res, err
	}
	defer p.Stop(0)

	start := time.Now()
	sent := 0
	for err == nil && (o.Limit == 0 || sent < o.Limit) && feed.Next() {
		line := feed.Line()
		if o.Kind != "" && string(line.Kind) != o.Kind {
			continue
		}
		due := start
		if o.Speed > 0 {
			due = start.Add(time.Duration(float64(line.At) / o.Speed))
			err = waitUntil(ctx, due)
		}
		if err == nil {
			err = p.Queue(ctx, o.message(line, due))
			sent++
		}
		if o.Speed > 0 {
			res.Late = max(res.Late, time.Since(due))
		}
	}
	if err == nil {
		err = feed.Err()
	}
	for err == nil && stored.Load()+failed.Load() < int64(sent) {
		err = waitUntil(ctx, time.Now().Add(time.Millisecond))
	}
	res.Produced, res.Failed, res.Took = int(stored.Load()), int(failed.Load()), time.Since(start)
	if err == nil && res.Failed > 0 {
		err = fmt.Errorf("%d of %d records were not stored: %w", res.Failed, sent, *why.Load())
	}
	if err != nil {
		return res, fmt.Errorf("cannot replay %s into %q: %w", o.File, o.Topic, err)
	}
	return res, nil
}

func (o *ReplayOptions) message(line *FeedLine, due time.Time) *kafka.Message {
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &o.Topic, Partition: kafka.PartitionAny}, Value: line.Payload}
	key := string(line.Key)
	if o.Key != nil {
		key = o.Key(line)
	}
	if key != "" {
		m.Key = []byte(key)
	}
	if o.DueHeader != "" {
		m.Headers = []kafka.Header{{Key: o.DueHeader, Value: fmt.Append(nil, due.UnixNano())}}
	}
	return m
}

// waitUntil waits until a time, or returns ctx's error.
func waitUntil(ctx context.Context, at time.Time) error {
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

// KeySymbol is the part of a recorded key behind its first dot: BTCUSDT of
// spot.BTCUSDT.
func KeySymbol(line *FeedLine) string {
	for i, c := range line.Key {
		if c == '.' {
			return string(line.Key[i+1:])
		}
	}
	return string(line.Key)
}

// KeyField takes the key from the payload: the first of the paths that leads to
// a string or an integer.
func KeyField(paths ...string) (func(line *FeedLine) string, error) {
	first, err := route.FirstField(paths...)
	if err != nil {
		return nil, err
	}
	return func(line *FeedLine) string { return first(line.Payload) }, nil
}
