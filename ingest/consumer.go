package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// Config configures a Consumer.
type Config struct {
	// Brokers are the first brokers to ask, as host:port.
	Brokers []string
	// Librdkafka has further properties of librdkafka, as kafka.librdkafka.* spells them.
	Librdkafka map[string]string
	// Start is the offset from which a topic that exists at our start is read: "end"
	// (also ""), "beginning", or how far to look back, such as "30s". A topic
	// that appears later is read from its beginning.
	Start string
	// Consumers is the number of librdkafka consumers, each with its own
	// goroutine and its share of the partitions. Zero means 1.
	Consumers int
	// DeadLetter is the topic to which bad records are produced. Empty: none.
	DeadLetter string
	// RequireAll keeps Ready false while a topic does not exist.
	RequireAll bool
	// KeepUnmatched sends records that no route matches to the dead letter topic too.
	KeepUnmatched bool
	// MaxRecord bounds the key and value of a record together, in bytes. Zero means 1 MiB.
	MaxRecord int
	// LookBack is for topics that feed rooms with last values. At the start they are read from
	// this far back, and from their beginning if they are compacted. Zero means 10 minutes.
	// Negative: they are read as Start says.
	LookBack time.Duration
	// RecallMemory bounds the records that were read again for members that resume, in
	// bytes of memory. Zero means 256 MiB.
	RecallMemory int64
	// RecallBytes is how many bytes are read again for one user in a minute. Zero means
	// 256 MiB. Negative: there is no limit.
	RecallBytes int64
	// MetadataEvery is the time between two looks at the topics. Zero means 5 s.
	MetadataEvery time.Duration
	// Progress has the offsets at which the previous Consumer stopped. Stop writes this
	// Consumer's to it. Nil: topics are read from Start.
	Progress *Progress
	// Log is the operator's log. Nil: there is none.
	Log *slog.Logger
}

// Consumer reads all partitions of all topics of a Router and routes
// their records into a room table. It is in no consumer group. So there
// are no rebalances, and every node reads everything.
type Consumer struct {
	cfg     Config
	router  *route.Router
	catalog *rooms.Catalog
	log     *slog.Logger
	start   startAt
	// doubtFor is how long the watcher waits until brokers describe a topic with the id that
	// a reader has learned. Brokers learn of a new topic one after the other.
	doubtFor time.Duration
	// stallAfter is how long a partition with unread records may not move.
	stallAfter time.Duration
	// See recall_client.go.
	readFor, quietFor time.Duration

	dead    *deadLetters
	control *Producer // admin requests, and dead letters if wanted
	admin   *kafka.AdminClient
	readers []*reader
	batch   *rooms.Batch // the watcher's
	reach   reach        // the watcher's: whether the brokers answer
	looked  time.Time    // the watcher's: when its last look began
	checked time.Time    // the watcher's: when it last looked for stalled partitions

	ctx      context.Context // ends with Stop
	cancel   context.CancelFunc
	kicked   chan struct{} // wakes the watcher
	refusals chan roomless // from the appenders
	ended    sync.WaitGroup

	recaller *recaller
	times    *times

	topics  []*topic // the list never changes after New
	sampler sampler
	figures figures
	ready   atomic.Bool

	faults *brokerFaults

	outage  atomic.Pointer[outage] // nil: the brokers answer
	started atomic.Bool
}

// figures are the counters of Stats. Readers add to them once a batch.
type figures struct {
	processed, bytes, misplaced, repeated atomic.Uint64
	reconnects, resets, gaps, stalls      atomic.Uint64
	bad                                   reasonCounts
}

// Stats are a Consumer's figures since it started.
type Stats struct {
	Processed uint64 `metric:"tapecast_ingest_records_total"`  // records read
	Bytes     uint64 `metric:"tapecast_ingest_bytes_total"`    // of their keys and values
	Repeated  uint64 `metric:"tapecast_ingest_repeated_total"` // records read a second time, and dropped
	// Misplaced counts records in another partition than their route's partitioner says.
	Misplaced uint64 `metric:"tapecast_ingest_misplaced_total"`
	// Forgotten counts the partition counts that topics have had, beyond those that are kept.
	Forgotten uint64 `metric:"tapecast_ingest_partition_counts_forgotten_total"`
	Up        bool   `metric:"tapecast_kafka_up"` // the brokers answered last time

	Bad    map[string]uint64 `metric:"tapecast_ingest_bad_total" label:"reason"` // records not routed
	Lag    map[string]int64  `metric:"tapecast_kafka_lag" label:"topic"`         // unread records
	Topics []TopicStats

	Readers int `metric:"tapecast_readers"`
	// Queued is the number of records that librdkafka has fetched and nobody has routed yet.
	Queued int64 `metric:"tapecast_kafka_queued_records"`
	// QueuedBytes estimates their keys and values from the mean record.
	QueuedBytes int64

	DeadLetters     uint64 `metric:"tapecast_ingest_dead_letters_total"` // stored
	DeadLettersLost uint64 `metric:"tapecast_ingest_dead_letters_lost_total"`
	Partitions      int    `metric:"tapecast_kafka_partitions"`       // assigned
	Reconnects      uint64 `metric:"tapecast_kafka_reconnects_total"` // the brokers came back after an outage
	Resets          uint64 `metric:"tapecast_kafka_resets_total"`     // topics that were made again
	Gaps            uint64 `metric:"tapecast_ingest_gaps_total"`      // records were deleted before they were read
	Stalls          uint64 // times that a partition did not move and got a new client
}

// TopicStats are the figures of one topic.
type TopicStats struct {
	Topic   string
	Records uint64 `each:"tapecast_topic_records_total"` // read
	Bytes   uint64 `each:"tapecast_topic_bytes_total"`   // of their keys and values
	Newest  int64  // the newest of their timestamps, ms since 1970; 0: none was read
	Ahead   uint64 `each:"tapecast_topic_ahead_total"` // with a timestamp more than an hour ahead: not in Newest

	Unmatched uint64 `each:"tapecast_ingest_unmatched_total"` // records that no route matches

	Up  bool              `each:"tapecast_topic_up"` // the brokers answer, and all of its partitions are being read
	Bad map[string]uint64 // records not routed, by reason
}

// New returns a Consumer. Start starts it.
func New(cfg Config, r *route.Router, t *rooms.Table) *Consumer {
	cfg.Consumers = max(1, cfg.Consumers)
	cfg.MaxRecord = cmp.Or(max(0, cfg.MaxRecord), 1<<20)
	cfg.LookBack = cmp.Or(cfg.LookBack, 10*time.Minute)
	cfg.RecallMemory = cmp.Or(max(0, cfg.RecallMemory), 256<<20)
	cfg.RecallBytes = cmp.Or(cfg.RecallBytes, 256<<20)
	cfg.MetadataEvery = cmp.Or(max(0, cfg.MetadataEvery), 5*time.Second)
	cfg.Progress = cmp.Or(cfg.Progress, new(Progress))
	c := &Consumer{cfg: cfg, router: r, catalog: t.Catalog(), doubtFor: 10 * time.Second, stallAfter: 15 * time.Second,
		readFor: readFor, quietFor: quietFor,
		log: orDiscard(cfg.Log), kicked: make(chan struct{}, 1), refusals: make(chan roomless, maxRefusals),
		batch: t.NewBatch()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.faults = newBrokerFaults(cfg.Brokers, cfg.Librdkafka)
	c.dead = &deadLetters{topic: cfg.DeadLetter, breaker: newLetterBreaker(c.log, c.kick)}
	c.recaller = newRecaller(c)
	c.times = newTimes(c)
	for _, routes := range r.Topics() {
		c.topics = append(c.topics,
			&topic{name: routes.Feed.Topic(), routes: routes, feed: routes.Feed, why: "not looked at yet"})
	}
	for i := range cfg.Consumers {
		c.readers = append(c.readers, newReader(c, i, t.NewBatch()))
	}
	return c
}

// Start begins to read. It waits neither for a broker nor for the topics: see
// Ready and Health. ctx bounds the start only.
func (c *Consumer) Start(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot start reading from Kafka: %w", err)
	}
	if len(c.cfg.Brokers) == 0 {
		return errors.New("kafka.brokers is empty: name at least one host:port")
	}
	if c.start, err = parseStart(c.cfg.Start); err != nil {
		return err
	}
	if c.cfg.DeadLetter != "" && c.router.Topic(c.cfg.DeadLetter) != nil {
		return fmt.Errorf("a route reads the dead letter topic %q too, so its records would never end: name another "+
			"one",
			c.cfg.DeadLetter)
	}
	if err := c.open(); err != nil {
		c.close()
		return err
	}
	c.started.Store(true)
	for _, r := range c.readers {
		c.ended.Go(r.run)
	}
	c.ended.Go(c.watch)
	c.ended.Go(c.reportRefused)
	c.ended.Go(c.recaller.run)
	return nil
}

// open makes the clients, so that a bad configuration fails at once.
func (c *Consumer) open() error {
	conf, err := controlConf(c.cfg)
	if err != nil {
		return err
	}
	if c.control, err = newProducer(conf, c.log, c.dead.reported, c.faults); err != nil {
		return err
	}
	c.dead.producer = c.control
	if c.admin, err = kafka.NewAdminClientFromProducer(c.control.Producer); err != nil {
		return fmt.Errorf("cannot make a Kafka admin client: %w", err)
	}
	return c.readers[0].open()
}

func (c *Consumer) close() {
	for _, r := range c.readers {
		r.close()
	}
	if c.admin != nil {
		c.admin.Close()
	}
	if c.control != nil {
		c.control.Stop(time.Second)
	}
}

// Stop ends reading and waits for all that Start started. If ctx ends first, Stop
// returns an error and the rest ends on its own. Without a Consumer there is nothing to end.
func (c *Consumer) Stop(ctx context.Context) error {
	if c == nil || !c.started.Swap(false) {
		return nil
	}
	c.times.stop()
	c.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ended.Wait()
		c.leave()
		c.close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot end reading from Kafka in time: %w", ctx.Err())
	}
}

// Stats returns the figures.
func (c *Consumer) Stats() Stats {
	f := &c.figures
	s := Stats{
		Processed: f.processed.Load(), Bytes: f.bytes.Load(), Misplaced: f.misplaced.Load(),
		Repeated:   f.repeated.Load(),
		Reconnects: f.reconnects.Load(), Resets: f.resets.Load(), Gaps: f.gaps.Load(), Stalls: f.stalls.Load(),
		Bad: f.bad.byReason(), Lag: map[string]int64{},
	}
	s.Up = c.Up()
	s.DeadLetters, s.DeadLettersLost = c.dead.sent.Load(), c.dead.lost.Load()
	for _, t := range c.topics {
		n, why := t.status()
		s.Partitions += n
		s.Forgotten += t.misplaced.forgot.Load()
		s.Lag[t.name] = 0
		s.Topics = append(s.Topics, TopicStats{
			Topic: t.name, Records: t.records.Load(), Bytes: t.bytes.Load(), Newest: t.newest.Load(),
			Ahead: t.ahead.Load(), Unmatched: t.unmatched.Load(),
			Up: s.Up && why == "", Bad: t.bad.byReason(),
		})
	}
	s.Readers = len(c.readers)
	for _, r := range c.readers {
		s.Queued += r.addLag(s.Lag)
	}
	if s.Processed > 0 {
		s.QueuedBytes = s.Queued * int64(s.Bytes/s.Processed)
	}
	return s
}

func (c *Consumer) kick() { wake(c.kicked) }

// wake leaves a token in a channel with room for one. It never blocks.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
