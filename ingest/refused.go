package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// maxRefusals bounds the refused records that wait to be logged and sent as dead letters. Further
// ones are counted, and their dead letters are lost.
const maxRefusals = 1024

// roomless is a routed record that an appender refused: its pattern has max_rooms rooms already.
type roomless struct {
	topic  string
	bad    route.Bad
	record route.Record
	whole  bool // record has the key, value and headers for a dead letter
}

// judged is the origin of a record whose fault was reported before: see partition.filled.
var judged = new(route.Record)

// origin returns a copy of the record that is being routed, for a dead letter.
func (r *reader) origin(m *route.Record) any {
	if m.Offset < r.filled {
		return judged
	}
	if m.Headers == nil {
		m.Headers = r.event.headers()
	}
	return &route.Record{
		Partition: m.Partition, Offset: m.Offset, Time: m.Time,
		Key: bytes.Clone(m.Key), Value: bytes.Clone(m.Value), Headers: m.Headers,
	}
}

// refused counts a record that got no room. It runs on an appender's goroutine, and
// leaves the log and the dead letter to reportRefused.
func (c *Consumer) refused(r *rooms.Refused) {
	origin, _ := r.Origin.(*route.Record)
	if origin == judged {
		return
	}
	c.countBad(route.BadFull, r.Pattern.Feed.Topic())
	f := roomless{topic: r.Pattern.Feed.Topic(), bad: route.Full(r.Pattern)}
	if f.whole = origin != nil; f.whole {
		f.record = *origin
	} else {
		f.record = route.Record{Partition: r.Partition, Offset: r.Offset}
	}
	select {
	case c.refusals <- f:
	default:
		c.loseLetter()
	}
}

// loseLetter counts a dead letter as lost, if there is a dead letter topic.
func (c *Consumer) loseLetter() {
	if c.cfg.DeadLetter != "" {
		c.dead.lost.Add(1)
	}
}

// reportRefused logs refused records and sends their dead letters, until the Consumer is stopped.
func (c *Consumer) reportRefused() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case f := <-c.refusals:
			c.sample(f.bad, f.topic, &f.record)
			if !f.whole {
				c.loseLetter()
			} else if c.cfg.DeadLetter != "" {
				c.dead.send(f.bad, f.topic, &f.record)
			}
		}
	}
}

// bad counts a record that could not be routed, samples it into the log and sends a dead letter.
func (c *Consumer) bad(b route.Bad, topic string, m *route.Record) {
	c.countBad(b.Reason, topic)
	c.sample(b, topic, m)
	if c.cfg.DeadLetter != "" {
		c.dead.send(b, topic, m)
	}
}

// unmatched sends a record that no route matches to the dead letter topic, with
// Config.KeepUnmatched. It is not a fault.
func (c *Consumer) unmatched(b route.Bad, topic string, m *route.Record) {
	if c.cfg.KeepUnmatched && c.cfg.DeadLetter != "" {
		c.dead.send(b, topic, m)
	}
}

func (c *Consumer) countBad(r route.Reason, topic string) {
	c.figures.bad[r].Add(1)
	for _, t := range c.topics {
		if t.name == topic {
			t.bad[r].Add(1)
		}
	}
}

// sample logs a record that could not be routed, unless its reason has had its lines.
func (c *Consumer) sample(b route.Bad, topic string, m *route.Record) {
	if muted, ok := c.sampler.take(b.Reason, time.Now()); ok {
		c.log.Warn("bad record skipped", "topic", topic, "partition", m.Partition, "offset", m.Offset,
			"reason", b.Reason.String(), "detail", b.Detail(), "unlogged", muted)
	}
}

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

	breaker *letterBreaker
	spare   atomic.Pointer[spare]
	failed  atomic.Value // string: why the last letter was not stored that says something of the topic

	why   atomic.Value // string, set by the watcher: why letters cannot be stored; "": they can
	asked bool         // the watcher's: it has asked brokers once that make topics on demand
	yield bool         // the watcher's: the breaker was half-open at its last look too
}

func (d *deadLetters) send(b route.Bad, topic string, m *route.Record) {
	if d.missing() != "" {
		d.lost.Add(1) // librdkafka would take a minute to fail
		return
	}
	done, err := d.breaker.Allow()
	if err != nil {
		d.lost.Add(1)
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
		Opaque: done,
	}
	if m.Time >= 0 {
		letter.Timestamp = time.UnixMilli(m.Time)
	}
	d.keepSpare(letter)
	if err := d.producer.Produce(letter, nil); err != nil {
		d.ended(done, err)
	}
}

// ended counts a letter.
func (d *deadLetters) ended(done func(error), err error) {
	if err == nil {
		d.sent.Add(1)
	} else {
		d.lost.Add(1)
		if !ofLetter(err) {
			d.failed.Store(err.Error())
		}
	}
	done(err)
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
	switch done := m.Opaque.(type) {
	case func(error):
		d.ended(done, m.TopicPartition.Error)
	case spareSent:
		d.spareEnded(done, m.TopicPartition.Error)
	}
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
