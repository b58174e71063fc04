package ingest

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
)

// Headers of a dead letter: the reason, and where the record was. They follow the record's own.
const (
	headerReason    = "tapecast.reason"
	headerTopic     = "tapecast.topic"
	headerPartition = "tapecast.partition"
	headerOffset    = "tapecast.offset"
	headerKey       = "tapecast.key"       // the record's key, if it has one
	headerTombstone = "tapecast.tombstone" // true: the record has no value, and the letter an empty one
)

// deadLetters produces bad records to a topic of their own. It never waits: a letter that the
// producer cannot take counts as lost. Any goroutine may use it.
type deadLetters struct {
	topic      string
	producer   *Producer
	sent, lost atomic.Uint64

	why   atomic.Value // string, set by the watcher: why letters cannot be stored; "": they can
	asked bool         // the watcher's: it has asked brokers once that make topics on demand
}

func (d *deadLetters) send(b route.Bad, topic string, m *route.Record) {
	if d.missing() != "" {
		d.lost.Add(1) // librdkafka would take a minute to fail
		return
	}
	headers := append(m.Headers[:len(m.Headers):len(m.Headers)],
		kafka.Header{Key: headerReason, Value: []byte(b.Reason.String())},
		kafka.Header{Key: headerTopic, Value: []byte(topic)},
		kafka.Header{Key: headerPartition, Value: strconv.AppendInt(nil, int64(m.Partition), 10)},
		kafka.Header{Key: headerOffset, Value: strconv.AppendInt(nil, m.Offset, 10)},
	)
	if m.Key != nil {
		headers = append(headers, kafka.Header{Key: headerKey, Value: m.Key})
	}
	value := m.Value
	if value == nil { // compaction would drop a letter without value
		headers, value = append(headers, kafka.Header{Key: headerTombstone, Value: []byte("true")}), []byte{}
	}
	letter := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &d.topic, Partition: kafka.PartitionAny},
		// The key is the same on every node, so that a compacted topic keeps one letter of each record.
		Key: fmt.Appendf(nil, "%s:%d:%d", topic, m.Partition, m.Offset), Value: value, Headers: headers,
	}
	if m.Time >= 0 {
		letter.Timestamp = time.UnixMilli(m.Time)
	}
	if err := d.producer.Produce(letter, nil); err != nil {
		d.lost.Add(1)
	}
}

// missing returns why letters cannot be stored; "": no reason is known.
func (d *deadLetters) missing() string {
	why, _ := d.why.Load().(string)
	return why
}

// tendLetters checks that the dead-letter topic exists. It asks the brokers for it once, since
// they may make topics on demand, and then returns errUnfinished.
func (c *Consumer) tendLetters(found map[string]kafka.TopicDescription) error {
	d := c.dead
	if d.topic == "" {
		return nil
	}
	desc, ok := found[d.topic]
	was, why := d.missing(), ""
	switch code := desc.Error.Code(); {
	case !ok || code == kafka.ErrUnknownTopicOrPart:
		why = absentTopic
		if !d.asked {
			d.asked = true
			_, _ = d.producer.GetMetadata(&d.topic, false, int(reachTimeout.Milliseconds()))
			return errUnfinished
		}
	case code != kafka.ErrNoError:
		why = desc.Error.String()
	}
	if d.why.Store(why); why == was {
		return nil
	}
	if why == "" {
		c.log.Info("dead letters can be stored", "topic", d.topic)
		return nil
	}
	c.log.Warn("dead letters cannot be stored: bad records are counted and lost", "topic", d.topic, "error", why,
		"remedy", "create the topic, let this client write to it, or name another one in kafka.dead_letter")
	return d.producer.Purge(kafka.PurgeQueue) // waiting letters are lost too: reported counts them
}

func (d *deadLetters) reported(m *kafka.Message) {
	if m.TopicPartition.Error != nil {
		d.lost.Add(1)
		return
	}
	d.sent.Add(1)
}

// sampler bounds the log lines about bad records. Any goroutine may use it.
type sampler struct {
	mu    sync.Mutex
	since [route.Reasons]time.Time
	lines [route.Reasons]int
	muted [route.Reasons]uint64
}

// The bound for each reason: lines in a window.
const (
	sampleLines  = 5
	sampleWindow = 10 * time.Second
)

// take reports whether a line of that reason may be written. muted lines were left out before it.
func (s *sampler) take(r route.Reason, now time.Time) (muted uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since[r]) >= sampleWindow {
		s.since[r], s.lines[r] = now, 0
	}
	if s.lines[r] >= sampleLines {
		s.muted[r]++
		return 0, false
	}
	s.lines[r]++
	muted, s.muted[r] = s.muted[r], 0
	return muted, true
}
