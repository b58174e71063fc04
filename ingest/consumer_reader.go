package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

const (
	// maxBatch is how many records are read before they are handed to the
	// appenders, if the queue does not run empty before.
	maxBatch = 256
	// pollWait is how long a reader without records waits for one, and so how
	// long a command may wait for its reader.
	pollWait = 50 // ms
)

// reader is one librdkafka consumer and the goroutine that polls it. The
// goroutine alone touches everything but what says otherwise; the watcher sends
// it commands.
type reader struct {
	c     *Consumer
	index int
	cmds  chan func()

	batch *rooms.Batch
	dec   *decoder
	last  *reading     // of the record before
	dirty []*partition // whose read has moved since the last batch
	since struct{ records, bytes, repeated uint64 }

	stuck atomic.Bool // some partition's offset is out of range: the watcher must look

	logs chan struct{} // closed: the log drain is to end
	wg   sync.WaitGroup

	mu       sync.Mutex          // for what follows
	client   *kafka.Consumer     // nil until there is something to read; its methods may be called by anyone who holds mu
	readings map[string]*reading // by topic; changed by the goroutine only
	ids      map[string]string   // the topic ids that the client knows
}

// reading is a reader's share of one topic's epoch.
type reading struct {
	topic *topic
	id    string
	parts []*partition // by number; nil: another reader's

	// suspect is the id that the topic may have been made anew with. Until the
	// watcher has looked, records are thrown away; they are read again.
	suspect atomic.Pointer[string]
}

func newReader(c *Consumer, index int, batch *rooms.Batch) *reader {
	return &reader{
		c: c, index: index, batch: batch, cmds: make(chan func()),
		dec: newDecoder(c.cfg.MaxRecord, batch.Add), readings: map[string]*reading{}, ids: map[string]string{},
	}
}

// open makes the librdkafka consumer, if that was not done yet.
func (r *reader) open() error {
	if r.client != nil {
		return nil
	}
	ours := map[string]string{
		"group.id":            "tapecast", // demanded, never joined
		"fetch.wait.max.ms":   "100",      // how long a new partition waits for the fetch before it
		"isolation.level":     "read_committed",
		"enable.metrics.push": "false",
		// When the queue is full librdkafka waits a second before it fetches again:
		// at 300,000 records a second that is three queues.
		"fetch.queue.backoff.ms":            "10",
		"fetch.error.backoff.ms":            "100",
		"queued.max.messages.kbytes":        "16384",
		"receive.message.max.bytes":         strconv.Itoa(max(100_000_000, 2*r.c.cfg.MaxRecord)),
		"topic.metadata.propagation.max.ms": "1000",
	}
	theirs := maps.Clone(r.c.cfg.Librdkafka)
	if theirs == nil {
		theirs = map[string]string{}
	}
	// A few lines at each refresh of metadata; see drainLogs.
	theirs["debug"] = strings.TrimPrefix(theirs["debug"]+",metadata", ",")
	conf, err := settings(r.c.cfg.Brokers, ours, theirs, map[string]string{
		"enable.auto.commit":       "false",
		"enable.auto.offset.store": "false",
		"enable.partition.eof":     "true",
		"auto.offset.reset":        "error", // what was deleted before we read it is not skipped in silence
	})
	if err != nil {
		return err
	}
	lines := logsTo(conf)
	client, err := kafka.NewConsumer(conf)
	if err != nil {
		return fmt.Errorf("cannot make a Kafka consumer: %w", err)
	}
	r.mu.Lock()
	r.client = client
	r.mu.Unlock()
	r.logs = make(chan struct{})
	r.wg.Go(func() { r.drainLogs(lines) })
	return nil
}

// close ends the librdkafka consumer. The goroutine must have ended.
func (r *reader) close() {
	r.mu.Lock()
	client := r.client
	r.client = nil
	r.mu.Unlock()
	if client != nil {
		client.Close()
		close(r.logs)
		r.wg.Wait()
	}
}

// run polls until the Consumer is stopped.
func (r *reader) run() {
	for r.obey() {
		for r.since.records < maxBatch {
			ev := r.client.Poll(0)
			if ev == nil {
				break
			}
			r.handle(ev)
		}
		if r.since.records == 0 && len(r.dirty) == 0 {
			if ev := r.client.Poll(pollWait); ev != nil {
				r.handle(ev)
				continue // there may be more: one batch
			}
		}
		if !r.flush() {
			return
		}
	}
}

// obey runs the commands that wait; false: the reader is to end. Without a
// client there is nothing else to do.
func (r *reader) obey() bool {
	for {
		if r.client == nil {
			select {
			case cmd := <-r.cmds:
				cmd()
			case <-r.c.ctx.Done():
				return false
			}
			continue
		}
		select {
		case cmd := <-r.cmds:
			cmd()
		case <-r.c.ctx.Done():
			return false
		default:
			return true
		}
	}
}

// do runs a command on the reader's goroutine and waits for it.
func (r *reader) do(cmd func() error) error {
	done := make(chan error, 1)
	select {
	case r.cmds <- func() { done <- cmd() }:
		return <-done
	case <-r.c.ctx.Done():
		return r.c.ctx.Err()
	}
}

func (r *reader) handle(ev kafka.Event) {
	switch ev := ev.(type) {
	case *kafka.Message:
		if ev.TopicPartition.Error != nil {
			r.failed(ev.TopicPartition.Error)
			return
		}
		r.message(ev)
	case kafka.PartitionEOF:
		r.end(ev)
	case kafka.Error:
		r.failed(ev)
	}
}

// find is the partition that something came from; nil: none of ours any more.
func (r *reader) find(at *kafka.TopicPartition) (*reading, *partition) {
	rd := r.last
	if rd == nil || rd.topic.name != *at.Topic {
		if rd = r.readings[*at.Topic]; rd == nil {
			return nil, nil
		}
		r.last = rd
	}
	if int(at.Partition) >= len(rd.parts) || rd.suspect.Load() != nil {
		return nil, nil
	}
	return rd, rd.parts[at.Partition]
}

// message routes one record.
func (r *reader) message(m *kafka.Message) {
	rd, p := r.find(&m.TopicPartition)
	if p == nil {
		return
	}
	if e := m.TopicPartition.LeaderEpoch; e != nil {
		if *e < p.leader {
			r.doubt(rd, "")
			return
		}
		p.leader = *e
	}
	offset := int64(m.TopicPartition.Offset)
	if offset < p.read {
		r.since.repeated++
		return
	}
	if b := r.dec.route(rd.topic.routes, m); b.reason != 0 {
		r.c.bad(b, m)
	}
	r.since.records++
	r.since.bytes += uint64(len(m.Key) + len(m.Value))
	r.advance(p, offset+1)
}

// end notes that a partition has nothing more: what lies between the last
// record and its end are transaction markers, or was compacted away.
func (r *reader) end(ev kafka.PartitionEOF) {
	at := kafka.TopicPartition(ev)
	if _, p := r.find(&at); p != nil && int64(at.Offset) > p.read {
		r.advance(p, int64(at.Offset))
	}
}

func (r *reader) advance(p *partition, to int64) {
	p.read = to
	if !p.dirty {
		p.dirty = true
		r.dirty = append(r.dirty, p)
	}
}

// flush hands what was read to the appenders; false: the reader is to end.
func (r *reader) flush() bool {
	if len(r.dirty) == 0 {
		return true
	}
	for _, p := range r.dirty {
		r.batch.Progress(p.feed, p.num, p.read-1)
	}
	if err := r.batch.Send(r.c.ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			r.c.log.Error("cannot hand records to the rooms; reading ends", "error", err)
		}
		return false
	}
	for _, p := range r.dirty {
		p.dirty = false
		p.next.Store(p.read)
		if p.read >= p.end && !p.caught.Load() {
			p.caught.Store(true)
			r.c.kick() // that was perhaps the last one to be waited for
		}
	}
	r.dirty = r.dirty[:0]
	f := &r.c.figures
	f.processed.Add(r.since.records)
	f.bytes.Add(r.since.bytes)
	f.repeated.Add(r.since.repeated)
	f.misplaced.Add(r.dec.misplaced)
	f.heard.Store(time.Now().UnixNano())
	r.dec.misplaced = 0
	r.since = struct{ records, bytes, repeated uint64 }{}
	return true
}

// addLag adds how many records each partition has that are not routed yet.
func (r *reader) addLag(lag map[string]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return
	}
	for name, rd := range r.readings {
		for _, p := range rd.parts {
			if p == nil {
				continue
			}
			if _, high, err := r.client.GetWatermarkOffsets(name, p.num); err == nil && high > p.next.Load() {
				lag[name] += high - p.next.Load()
			}
		}
	}
}

// failed takes an error of the client. Those of single partitions do not say
// which: the watcher looks at all.
func (r *reader) failed(err error) {
	var kerr kafka.Error
	if !errors.As(err, &kerr) {
		r.c.log.Debug("Kafka consumer", "error", err)
		return
	}
	switch kerr.Code() {
	case kafka.ErrAutoOffsetReset:
		r.stuck.Store(true)
	case kafka.ErrMaxPollExceeded, kafka.ErrGroupAuthorizationFailed:
		return // of the group, which we are not in
	}
	level := slog.LevelDebug
	if kerr.IsFatal() {
		level = slog.LevelError
	}
	r.c.log.Log(r.c.ctx, level, "Kafka consumer", "error", kerr.String(), "code", kerr.Code().String())
	r.c.kick()
}
