package ingest

import (
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

// Config says what a Consumer reads and how.
type Config struct {
	// Brokers are host:port addresses to begin with.
	Brokers []string
	// Librdkafka passes properties through, as kafka.librdkafka.* spells them.
	Librdkafka map[string]string
	// Start is where a topic is read from that was there when we started: "end"
	// (also ""), "beginning", or how far to look back, such as "30s". A topic
	// that comes later is read from its beginning.
	Start string
	// Consumers is the number of librdkafka consumers, each with its own
	// goroutine and its share of the partitions. Zero means 1.
	Consumers int
	// DeadLetter is the topic that bad records are produced to; empty: none.
	DeadLetter string
	// RequireAll keeps Ready false as long as Kafka says that a topic does not exist.
	RequireAll bool
	// KeepUnmatched makes dead letters also of records that no route's Match names.
	KeepUnmatched bool
	// MaxRecord is the most bytes that key and value of a record may have
	// together. Zero means 1 MiB.
	MaxRecord int
	// LookBack is how far back topics are read at the start that feed rooms with
	// last values and are not compacted; those that are, are read from their
	// beginning. Zero means 10 minutes; negative: both as Start says.
	LookBack time.Duration
	// RecallMemory bounds what is kept of records that were read again for
	// members that resume, in bytes. Zero means 256 MiB.
	RecallMemory int64
	// RecallBytes is how many bytes are read again for one user in a minute. Zero means
	// 256 MiB; negative: there is no limit.
	RecallBytes int64
	// MetadataEvery is the time between two looks at the topics. Zero means 5 s.
	MetadataEvery time.Duration
	// Progress is where the Consumer before this one stopped, and gets where this one
	// does. Nil: it begins as Start says.
	Progress *Progress
	// Log gets a line for each thing an operator would ask about. Nil: none.
	Log *slog.Logger
}

// Consumer reads all partitions of all topics that a Router names and routes
// their records into a room table. It belongs to no consumer group, so there
// are no rebalances, and every node reads everything.
type Consumer struct {
	cfg     Config
	router  *route.Router
	catalog *rooms.Catalog
	log     *slog.Logger
	start   startAt
	// doubtFor is how long we wait for the topic id that a reader has heard of;
	// brokers learn of a new topic one after the other.
	doubtFor time.Duration
	// stallAfter is how long a partition may stand still although it has records.
	stallAfter time.Duration
	// See recall_client.go.
	readFor, quietFor time.Duration

	dead    *deadLetters
	control *Producer // admin requests, and dead letters where wanted
	admin   *kafka.AdminClient
	readers []*reader
	batch   *rooms.Batch // the watcher's
	reach   reach        // the watcher's: how asking the brokers went
	looked  time.Time    // the watcher's: when its last look began
	checked time.Time    // the watcher's: when it last looked for stalled partitions

	ctx      context.Context // ends with Stop
	cancel   context.CancelFunc
	kicked   chan struct{} // the watcher should look now
	refusals chan roomless // from the appenders
	ended    sync.WaitGroup

	recaller *recaller
	times    *times

	topics  []*topic // the slice never changes once started
	sampler sampler
	figures figures
	ready   atomic.Bool

	faults *brokerFaults

	mu      sync.Mutex
	outage  *outage // nil: the brokers answer
	started bool
}

// figures are what Stats reports; readers add to them once a batch.
type figures struct {
	processed, bytes, misplaced, repeated atomic.Uint64
	reconnects, resets, gaps, stalls      atomic.Uint64
	bad                                   [route.Reasons]atomic.Uint64
}

// Stats are a Consumer's figures since it started.
type Stats struct {
	Processed uint64            // records read
	Bytes     uint64            // of their keys and values
	Bad       map[string]uint64 // records not routed, by reason
	Up        bool              // the brokers answer, as far as is known
	Misplaced uint64            // written since the start to another partition than their route's partitioner says
	Forgotten uint64            // numbers of partitions that topics have had, beyond those that are kept
	Repeated  uint64            // read a second time, and dropped
	Lag       map[string]int64  // records that are not read yet, by topic
	Topics    []TopicStats
	Readers   int
	// Queued is how many records librdkafka has fetched that are not routed yet, and
	// QueuedBytes what their keys and values take, if they are like those before.
	Queued, QueuedBytes int64

	DeadLetters     uint64 // stored
	DeadLettersLost uint64
	Partitions      int    // assigned
	Reconnects      uint64 // how often the brokers were lost and found
	Resets          uint64 // topics that were made again
	Gaps            uint64 // times that records were deleted before they were read
	Stalls          uint64 // times that a partition did not move and got a new client
}

// TopicStats are the figures of one topic.
type TopicStats struct {
	Topic   string
	Records uint64 // read
	Bytes   uint64 // of their keys and values
	Newest  int64  // the newest of their timestamps, ms since 1970; 0: none was read
	Ahead   uint64 // records with a timestamp more than an hour ahead, which are not in Newest

	Unmatched uint64 // that no route's match names: they are for nobody

	Up  bool              // the brokers answer, and all of its partitions are being read
	Bad map[string]uint64 // records not routed, by reason
}

// New makes a Consumer; Start starts it.
func New(cfg Config, r *route.Router, t *rooms.Table) *Consumer {
	cfg.Consumers = max(1, cfg.Consumers)
	if cfg.MaxRecord <= 0 {
		cfg.MaxRecord = 1 << 20
	}
	if cfg.LookBack == 0 {
		cfg.LookBack = 10 * time.Minute
	}
	if cfg.RecallMemory <= 0 {
		cfg.RecallMemory = defaultRecall
	}
	if cfg.RecallBytes == 0 {
		cfg.RecallBytes = defaultRecallBytes
	}
	if cfg.MetadataEvery <= 0 {
		cfg.MetadataEvery = 5 * time.Second
	}
	if cfg.Progress == nil {
		cfg.Progress = new(Progress)
	}
	c := &Consumer{cfg: cfg, router: r, catalog: t.Catalog(), doubtFor: 10 * time.Second, stallAfter: 15 * time.Second,
		readFor: readFor, quietFor: quietFor,
		log: orDiscard(cfg.Log), kicked: make(chan struct{}, 1), refusals: make(chan roomless, maxRefusals), batch: t.NewBatch()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.faults = newBrokerFaults(cfg.Brokers, cfg.Librdkafka)
	c.dead = &deadLetters{topic: cfg.DeadLetter}
	c.recaller = newRecaller(c)
	c.times = newTimes(c)
	for _, routes := range r.Topics() {
		c.topics = append(c.topics, &topic{name: routes.Feed.Topic(), routes: routes, feed: routes.Feed, why: "not looked at yet"})
	}
	for i := range cfg.Consumers {
		c.readers = append(c.readers, newReader(c, i, t.NewBatch()))
	}
	return c
}

// Start begins to read. It does not wait for a broker, nor for the topics: see
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
		return fmt.Errorf("the dead letter topic %q is read by a route too: its records would never end; name another one", c.cfg.DeadLetter)
	}
	if err := c.open(); err != nil {
		c.close()
		return err
	}
	c.mu.Lock()
	c.started = true
	c.mu.Unlock()
	for _, r := range c.readers {
		c.ended.Go(r.run)
	}
	c.ended.Go(c.watch)
	c.ended.Go(c.reportRefused)
	c.ended.Go(c.recaller.run)
	return nil
}

// open makes the clients, so that a bad configuration shows at once.
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

// Stop ends reading and waits until everything that Start started has ended,
// or until ctx ends; then the rest ends on its own.
func (c *Consumer) Stop(ctx context.Context) error {
	c.mu.Lock()
	runs := c.started
	c.started = false
	c.mu.Unlock()
	if !runs {
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

// Stats adds up the figures.
func (c *Consumer) Stats() Stats {
	f := &c.figures
	s := Stats{
		Processed: f.processed.Load(), Bytes: f.bytes.Load(), Misplaced: f.misplaced.Load(), Repeated: f.repeated.Load(),
		Reconnects: f.reconnects.Load(), Resets: f.resets.Load(), Gaps: f.gaps.Load(), Stalls: f.stalls.Load(),
		Bad: map[string]uint64{}, Lag: map[string]int64{},
	}
	for r := route.Reason(1); r < route.Unmatched; r++ {
		s.Bad[r.String()] = f.bad[r].Load()
	}
	s.Up = c.Up()
	s.DeadLetters, s.DeadLettersLost = c.dead.sent.Load(), c.dead.lost.Load()
	for _, t := range c.topics {
		n, why := t.status()
		s.Partitions += n
		s.Forgotten += t.strays.forgot.Load()
		s.Lag[t.name] = 0
		s.Topics = append(s.Topics, TopicStats{
			Topic: t.name, Records: t.records.Load(), Bytes: t.bytes.Load(), Newest: t.newest.Load(), Ahead: t.ahead.Load(), Unmatched: t.unmatched.Load(),
			Up: s.Up && why == "", Bad: t.badByReason(),
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

// kick makes the watcher look now. It never blocks.
func (c *Consumer) kick() {
	select {
	case c.kicked <- struct{}{}:
	default:
	}
}

// bad counts, samples and passes on a record that could not be routed.
func (c *Consumer) bad(b route.Bad, topic string, m *route.Record) {
	c.countBad(b.Reason, topic)
	c.sample(b, topic, m)
	if c.cfg.DeadLetter != "" {
		c.dead.send(b, topic, m)
	}
}

// unmatched passes a record that no route's match names on, where that is wanted. That it
// is for nobody is no fault.
func (c *Consumer) unmatched(b route.Bad, topic string, m *route.Record) {
	if c.cfg.KeepUnmatched && c.cfg.DeadLetter != "" {
		c.dead.send(b, topic, m)
	}
}

// countBad counts a bad record of a topic.
func (c *Consumer) countBad(r route.Reason, topic string) {
	c.figures.bad[r].Add(1)
	for _, t := range c.topics {
		if t.name == topic {
			t.bad[r].Add(1)
		}
	}
}

// sample logs a record that could not be routed, or counts that it did not.
func (c *Consumer) sample(b route.Bad, topic string, m *route.Record) {
	if muted, ok := c.sampler.take(b.Reason, time.Now()); ok {
		c.log.Warn("bad record skipped", "topic", topic, "partition", m.Partition, "offset", m.Offset,
			"reason", b.Reason.String(), "detail", b.Detail(), "unlogged", muted)
	}
}
