package publish

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// Sink takes what a publisher sends.
type Sink interface {
	// Put hands over one message. It copies the value. The key may be nil.
	Put(room string, key, value []byte) error
	// Flush sends what was put, and returns how long the other side held it up.
	Flush() (blocked time.Duration, err error)
	// Close waits until everything is taken, and returns how many messages were.
	Close(ctx context.Context) (int64, error)
}

// Publication is what a publisher sends: message n to the room of its stream, with the stream's key.
type Publication struct {
	Schedule   job.Schedule
	Anchor     int64
	Total      int64
	Base       int64 // number of message 0, in the values
	Shape      job.ValueShape
	Template   *job.ValueTemplate // around each value; nil: none
	Assignment job.Assignment
	Longest    *atomic.Int64 // the publisher's longest lag, readable while it runs. nil: not wanted

	rooms []string // by stream
	keys  [][]byte
}

// prepare makes rooms and keys before anything is due.
func (p *Publication) prepare() {
	p.Assignment.Prepare()
	for s := range p.Assignment.Streams {
		p.rooms = append(p.rooms, p.Assignment.Room(s))
		p.keys = append(p.keys, []byte(p.Assignment.Key(s)))
	}
}

// Published is how well a publisher kept its schedule.
type Published struct {
	Messages int64     `json:"messages"`
	Lag      *job.Hist `json:"-"` // from due until handed over, each message
	// Late is the part of Lag that is the bench's own: it woke up late. The rest is time
	// that the other side held the publisher up.
	Late    *job.Hist `json:"-"`
	Blocked float64   `json:"blocked_s"`
}

// Publish sends each message when it is due, or at once if overdue. It ends early with ctx.
func (p *Publication) Publish(ctx context.Context, to Sink) (Published, error) {
	runtime.LockOSThread() // never unlocked: the thread's settings end with it
	machine.PreferThread()
	// Timers fire up to 50 µs late by default, and the gateway would be blamed for that.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // on failure the slack stays as it is
	p.prepare()
	clock := machine.NewClock()
	out := Published{Lag: job.NewHist(), Late: job.NewHist()}
	var value, wrapped []byte
	var free int64 // when the last flush was done, ns since 1970
	for n := int64(0); n < p.Total; {
		due := p.Schedule.Due(n)
		now := clock.Now() + p.Anchor
		for ; now < due; now = clock.Now() + p.Anchor {
			if ctx.Err() != nil {
				return p.end(ctx, out, to)
			}
			machine.SleepUntil(min(due, now+1e8) - p.Anchor)
		}
		if ctx.Err() != nil {
			return p.end(ctx, out, to)
		}
		from := n
		for k := min(p.Schedule.Before(now), p.Total, n+maxBurst); n < k; n++ {
			value = p.Shape.Make(value[:0], p.Schedule.Due(n), p.Base+n)
			stream, _ := p.Assignment.Of(n)
			record := value
			if p.Template != nil {
				wrapped = p.Template.Fill(wrapped[:0], value, string(p.keys[stream]), n)
				record = wrapped
			}
			if err := to.Put(p.rooms[stream], p.keys[stream], record); err != nil {
				return out, err
			}
		}
		blocked, err := to.Flush()
		if err != nil {
			return out, err
		}
		done := clock.Now() + p.Anchor
		if lag := done - p.Schedule.Due(from); p.Longest != nil && lag > p.Longest.Load() {
			p.Longest.Store(lag) // nobody else writes it
		}
		for ; from < n; from++ {
			due := p.Schedule.Due(from)
			out.Lag.Record(done - due)
			out.Late.Record(now - max(due, free))
		}
		out.Messages = n
		out.Blocked += blocked.Seconds()
		free = done
	}
	return p.end(ctx, out, to)
}

// maxBurst bounds what is sent at once when the publisher is behind.
const maxBurst = 1024

func (p *Publication) end(ctx context.Context, out Published, to Sink) (Published, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	taken, err := to.Close(ctx)
	if err == nil && taken != out.Messages {
		err = fmt.Errorf("%d messages were published, but %d were taken", out.Messages, taken)
	}
	return out, err
}

// closeTimeout is how long the other side has to take the last messages.
const closeTimeout = 30 * time.Second

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
