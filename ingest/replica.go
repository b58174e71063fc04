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
)

// ReplicaConfig configures a Replica.
type ReplicaConfig struct {
	// Brokers and Librdkafka are as in Config.
	Brokers    []string
	Librdkafka map[string]string
	// Topic is the topic to follow.
	Topic string
	// To takes its records. Its methods are called by one goroutine, and must not block.
	To ReplicaTaker
	// LookEvery is the time between two looks at the topic's id, partitions and ends. Zero means 1 s.
	LookEvery time.Duration
	// Log is the operator's log. Nil: there is none.
	Log *slog.Logger
}

// ReplicaTaker takes the records of a compacted topic, and keeps what its user needs of them.
type ReplicaTaker interface {
	// Begin is called before the topic is read from its beginning, which happens at the start and when
	// a Replica cannot be sure that it has seen every record. remade: it is another topic of the name, or
	// its log was cut, so that records may lack that no newer one replaces.
	Begin(remade bool)
	// Record takes one record. Within a partition, records come in order, and with gaps. key and value
	// are valid only during the call; value is nil for a tombstone. fresh means that the record was
	// written after the reading began.
	Record(part int32, offset, ms int64, fresh bool, key, value []byte)
	// Whole is called once for each Begin, when all records that are not fresh were taken.
	Whole()
	// Again is asked at each look whether the topic should be read from its beginning again.
	Again() bool
}

// Replica reads a small compacted topic whole, and then follows it for as long as it runs. It is in
// no consumer group, so each node has all of it.
type Replica struct {
	cfg    ReplicaConfig
	log    *slog.Logger
	faults *brokerFaults
	reader Config // what its librdkafka clients are made of
	every  time.Duration
	stall  time.Duration // how long a partition with unread records may not move

	control *Producer
	admin   *kafka.AdminClient
	ctx     context.Context
	cancel  context.CancelFunc
	ended   sync.WaitGroup

	// The reader's own.
	id    string // of the topic that was read last
	lossy bool   // its log was cut since

	records, readings atomic.Uint64

	mu      sync.Mutex // guards what follows
	whole   bool       // it was read whole once
	why     string     // why it is not read now; "": it is
	current time.Time  // when all that there was had been taken; zero: never
	parts   int
}

// ReplicaStats are the figures of a Replica.
type ReplicaStats struct {
	// Whole reports whether the topic was read whole once.
	Whole bool
	// Why says why the topic cannot be read now, with the remedy. "": it is read.
	Why string
	// Stale is for how long it was not known that all records were taken. Before the topic was read
	// whole it is the time since the start.
	Stale      time.Duration
	Partitions int
	Records    uint64 // taken, those that were read again too
	Readings   uint64 // times that the topic was read from its beginning
}

// NewReplica returns a Replica. Start starts it.
func NewReplica(cfg ReplicaConfig) *Replica {
	r := &Replica{cfg: cfg, log: orDiscard(cfg.Log), every: time.Second, stall: 15 * time.Second,
		faults: newBrokerFaults(cfg.Brokers, cfg.Librdkafka), current: time.Now(), why: "not looked at yet",
		reader: Config{Brokers: cfg.Brokers, Librdkafka: cfg.Librdkafka, MaxRecord: 1 << 20}}
	if cfg.LookEvery > 0 {
		r.every = cfg.LookEvery
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Start begins to read. It does not wait for a broker.
func (r *Replica) Start() (err error) {
	conf, err := controlConf(r.reader)
	if err != nil {
		return err
	}
	if r.control, err = newProducer(conf, r.log, nil, r.faults); err != nil {
		return err
	}
	if r.admin, err = kafka.NewAdminClientFromProducer(r.control.Producer); err != nil {
		r.control.Stop(0)
		return fmt.Errorf("cannot make a Kafka admin client: %w", err)
	}
	r.ended.Go(r.run)
	return nil
}

// Stop ends reading. If ctx ends first, the rest ends on its own.
func (r *Replica) Stop(ctx context.Context) error {
	r.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended.Wait()
		if r.admin != nil {
			r.admin.Close()
			r.control.Stop(0)
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot end reading %q in time: %w", r.cfg.Topic, ctx.Err())
	}
}

// Stats returns the figures. Without a Replica all are 0.
func (r *Replica) Stats() ReplicaStats {
	if r == nil {
		return ReplicaStats{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return ReplicaStats{Whole: r.whole, Why: r.why, Stale: time.Since(r.current), Partitions: r.parts,
		Records: r.records.Load(), Readings: r.readings.Load()}
}

func (r *Replica) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// run reads the topic from its beginning, again and again, each time until that is in doubt.
func (r *Replica) run() {
	for r.ctx.Err() == nil {
		begun := time.Now()
		seen, err := r.look()
		if err == nil {
			err = r.read(seen)
		}
		if err != nil && r.ctx.Err() == nil {
			r.set(func() { r.why = err.Error() })
			r.log.Info("a topic is not read, or must be read again", "topic", r.cfg.Topic, "why", err)
		}
		wait := lookSoon
		if time.Since(begun) < 10*time.Second {
			wait = r.every
		}
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
		}
	}
}

// replicaPart is how far a partition was read.
type replicaPart struct {
	next  int64     // all records before this offset were taken
	fresh int64     // its end when the reading began
	moved time.Time // when next last moved, or had nothing to move to

	beyond int64 // next, when a look found the end before it
	looks  int   // looks in a row that found that, while next did not move
}

// replicaReading is one reading of the topic with one client. It belongs to the Replica's goroutine.
type replicaReading struct {
	r      *Replica
	client *polledClient
	seen   *topicSeen
	parts  []replicaPart
	rec    route.Record
	whole  bool
}

var (
	// errReadAgain means that the topic must be read from its beginning.
	errReadAgain = errors.New("it is being read again from its beginning")
	// errCut means that too, and that records may have gone that nobody replaced.
	errCut = errors.New("its log was cut, and is being read again from its beginning")
)

// read reads the topic until that is in doubt, and follows it.
func (r *Replica) read(seen *topicSeen) error {
	conf, err := readerConf(r.reader)
	if err != nil {
		return err
	}
	client, err := newPolledClient(conf, r.log, r.faults.logged)
	if err != nil {
		return err
	}
	defer client.close()
	// The client would look for the leaders only when its timer fires next.
	if _, err := client.GetMetadata(&r.cfg.Topic, false, metadataWait); err != nil {
		return r.failed(err)
	}
	g := &replicaReading{r: r, client: client, seen: seen, parts: make([]replicaPart, len(seen.ends))}
	now := time.Now()
	for n, end := range seen.ends {
		g.parts[n] = replicaPart{fresh: end, moved: now}
	}
	if err := client.Assign(g.fromBeginning()); err != nil {
		return fmt.Errorf("cannot assign the partitions of topic %q: %w", r.cfg.Topic, err)
	}
	r.lossy = r.lossy || r.id != "" && r.id != seen.id // for good: what went is in no log any more
	r.cfg.To.Begin(r.lossy)
	r.id = seen.id
	r.readings.Add(1)
	looks, stop := r.lookOn()
	defer stop()
	err = g.follow(looks)
	r.lossy = r.lossy || err == errCut
	return err
}

func (g *replicaReading) fromBeginning() (list []kafka.TopicPartition) {
	for n := range g.parts {
		list = append(list, kafka.TopicPartition{Topic: &g.r.cfg.Topic, Partition: int32(n),
			Offset: kafka.OffsetBeginning})
	}
	return list
}

// follow takes records and what was seen of the topic. It returns why the reading must end.
func (g *replicaReading) follow(looks <-chan looked) error {
	for g.r.ctx.Err() == nil {
		n := g.client.poll.poll(pollWait)
		for i := range n {
			if err := g.take(g.client.poll.event(i)); err != nil {
				return err
			}
		}
		if !g.whole && g.reached(g.seen.ends) {
			g.whole = true
			g.r.cfg.To.Whole()
			g.r.wholeAt(g.seen)
		}
		select {
		case l := <-looks:
			if err := g.judge(l); err != nil {
				return err
			}
		default:
		}
	}
	return g.r.ctx.Err()
}

func (g *replicaReading) take(e *polled) error {
	switch e.kind {
	case polledRecord:
		p := &g.parts[e.partition]
		if int64(e.offset) < p.next {
			return nil
		}
		e.fill(&g.rec)
		g.r.records.Add(1)
		g.r.cfg.To.Record(int32(e.partition), g.rec.Offset, g.rec.Time, g.rec.Offset >= p.fresh, g.rec.Key, g.rec.Value)
		p.next, p.moved = g.rec.Offset+1, time.Now()
	case polledEnd:
		// Between the last record and the end are transaction markers, and offsets of records that
		// compaction removed.
		p := &g.parts[e.partition]
		p.next, p.moved = max(p.next, int64(e.offset)), time.Now()
	case polledError:
		code, said := e.fault()
		g.r.faults.failed(code, said)
		if code == kafka.ErrAutoOffsetReset || code == kafka.ErrOffsetOutOfRange {
			return errCut // records were deleted before they were read, or the log was cut
		}
	}
	return nil
}

// reached reports whether all partitions were read up to their ends.
func (g *replicaReading) reached(ends []int64) bool {
	for n, end := range ends {
		if g.parts[n].next < end {
			return false
		}
	}
	return true
}

// judge compares the reading with what was seen of the topic since.
func (g *replicaReading) judge(l looked) error {
	switch {
	case l.err != nil:
		g.r.set(func() { g.r.why = l.err.Error() })
		return nil // what was read stays, and the client goes on by itself
	case l.seen.id != g.seen.id, len(l.seen.ends) != len(g.parts):
		return errReadAgain
	case g.whole && g.r.cfg.To.Again():
		return errReadAgain
	}
	cut := false
	for n, end := range l.seen.ends {
		cut = g.parts[n].cut(end) || cut
	}
	if cut {
		return errCut
	}
	now := time.Now()
	for n, end := range l.seen.ends {
		switch p := &g.parts[n]; {
		case p.next >= end:
			p.moved = now
		case now.Sub(p.moved) >= g.r.stall:
			return errReadAgain // whatever state the client is in, a new one is not
		}
	}
	if g.whole && g.reached(l.seen.ends) {
		g.r.wholeAt(l.seen)
	}
	return nil
}
