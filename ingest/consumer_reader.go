package ingest

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

const (
	// maxBatch is how many records at most are read before they are handed to
	// the appenders. A batch also ends when librdkafka's queue is empty.
	maxBatch = 256
	// pollWait is how long a reader waits for a record, and so how
	// long a command may wait for its reader.
	pollWait = 50 // ms
	// maxAhead is how far the newest timestamp may be ahead of our clock: a timestamp in
	// microseconds would stay the newest for ever.
	maxAhead = time.Hour
)

// reader is one librdkafka consumer and the goroutine that polls it. Only this goroutine
// touches the fields, unless a comment says otherwise. The watcher sends it commands.
type reader struct {
	c         *Consumer
	index     int
	cmds      chan func()
	heartbeat heartbeat.Counter

	batch  *rooms.Batch
	dec    *route.Decoder
	rec    route.Record
	event  *polled                     // the origin of rec
	filled int64                       // partition.filled of rec's partition
	latest int64                       // timestamp, ms: later records count as ahead
	names  map[unsafe.Pointer]*reading // by librdkafka's pointer to the topic's name
	dirty  []*partition                // partitions whose read has moved since the last batch
	since  struct{ records, bytes, repeated, misplaced uint64 }

	stuck atomic.Bool // some partition's offset is out of range: the watcher must look
	worn  atomic.Bool // the client must be replaced

	mu       sync.Mutex          // guards the fields below
	client   *polledClient       // nil until there is a partition to read; holders of mu may call its methods
	readings map[string]*reading // by topic; only the goroutine changes it
	ids      map[string]string   // the topic ids that the client knows
}

// reading is a reader's share of one topic's epoch.
type reading struct {
	topic *topic
	id    string
	parts []*partition // by number; nil: another reader's

	// doubt is set if the topic may have been made again. Until the watcher has looked, the
	// reader throws records away. They are read again later.
	doubt atomic.Pointer[doubt]
}

// doubt is the reason why a topic may have been made again: the client has learned another
// topic id, or (id "") a record has an older leader epoch.
type doubt struct {
	id    string
	since time.Time
}

func newReader(c *Consumer, index int, batch *rooms.Batch) *reader {
	r := &reader{
		heartbeat: heartbeat.Counter{Name: "reader " + strconv.Itoa(index)},
		c:         c, index: index, batch: batch, cmds: make(chan func()),
		dec: route.NewDecoder(c.cfg.MaxRecord, batch.Add), names: map[unsafe.Pointer]*reading{},
		readings: map[string]*reading{}, ids: map[string]string{},
	}
	batch.Refused = c.refused
	if c.cfg.DeadLetter != "" {
		r.dec.Origin, r.dec.Crowded = r.origin, batch.Crowded
	}
	return r
}

func (r *reader) open() error {
	if r.client != nil {
		return nil
	}
	conf, err := readerConf(r.c.cfg)
	if err != nil {
		return err
	}
	// logged needs these lines: a few at each refresh of metadata.
	(*conf)["debug"] = strings.TrimPrefix(r.c.cfg.Librdkafka["debug"]+",metadata", ",")
	client, err := newPolledClient(conf, r.c.log, r.logged)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.client = client
	r.mu.Unlock()
	return nil
}

// close ends the librdkafka consumer. The goroutine must have ended.
func (r *reader) close() {
	r.mu.Lock()
	client := r.client
	r.client = nil
	r.mu.Unlock()
	if client != nil {
		client.close()
	}
}

func (r *reader) run() {
	defer r.heartbeat.End()
	for r.obey() {
		poll := r.client.poll
		n := poll.poll(pollWait)
		r.heartbeat.Begin()
		if n > 0 {
			r.latest = time.Now().Add(maxAhead).UnixMilli()
		}
		for i := range n {
			r.handle(poll.event(i))
		}
		if !r.flush() {
			return
		}
		if n > 0 {
			// Let the appenders run on this processor now. In C this thread keeps it, until the
			// runtime's monitor takes it away.
			runtime.Gosched()
		}
		r.heartbeat.End() // in C, or in a command, the reader waits for Kafka
	}
}

// obey runs the commands that wait, or without a client waits for one; false: the reader must end.
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

func (r *reader) handle(e *polled) {
	switch e.kind {
	case polledRecord:
		rd, ok := r.names[e.topicID()]
		if !ok {
			rd = r.readings[e.topicName()]
			r.names[e.topicID()] = rd
		}
		if p := rd.find(int32(e.partition)); p != nil {
			r.record(e, rd, p)
		}
	case polledEnd:
		// Between the last record and the end are transaction markers, and offsets of
		// records that compaction removed.
		p := r.readings[e.topicName()].find(int32(e.partition))
		if p != nil && int64(e.offset) > p.read {
			r.advance(p, int64(e.offset))
		}
	case polledError:
		r.failed(e.fault())
	}
}

// find returns a partition of the reading; nil: the reader has lost it, or the topic is in doubt.
func (rd *reading) find(num int32) *partition {
	if rd == nil || int(num) >= len(rd.parts) || rd.doubt.Load() != nil {
		return nil
	}
	return rd.parts[num]
}

func (r *reader) record(e *polled, rd *reading, p *partition) {
	if leader := int32(e.leader); leader >= 0 {
		if leader < p.leader {
			r.doubt(rd, "")
			return
		}
		p.leader = leader
	}
	offset := int64(e.offset)
	if offset < p.read {
		r.since.repeated++
		return
	}
	routes := rd.topic.routes
	e.fill(&r.rec)
	r.event, r.filled = e, p.filled
	if routes.Headers {
		r.rec.Headers = e.headers()
	}
	r.dec.Counts = rd.topic.misplaced.known()
	if b := r.dec.Route(routes, &r.rec); b.Reason != 0 && offset >= p.filled {
		if r.c.cfg.DeadLetter != "" && r.rec.Headers == nil {
			r.rec.Headers = e.headers()
		}
		if b.Reason == route.Unmatched {
			p.fresh.unmatched++
			r.c.unmatched(b, rd.topic.name, &r.rec)
		} else {
			r.c.bad(b, rd.topic.name, &r.rec)
		}
	}
	if r.dec.Misplaced && offset >= p.end { // earlier records may be older than the topic's growth
		r.since.misplaced++
		r.c.foundMisplaced(rd.topic, &r.rec, r.latest-maxAhead.Milliseconds())
	}
	size := uint64(len(r.rec.Key) + len(r.rec.Value))
	r.since.records++
	r.since.bytes += size
	p.fresh.records++
	p.fresh.bytes += size
	if r.rec.Time > r.latest {
		p.fresh.ahead++
	} else {
		p.fresh.newest = max(p.fresh.newest, r.rec.Time)
	}
	r.advance(p, offset+1)
}

func (r *reader) advance(p *partition, to int64) {
	p.read = to
	if !p.dirty {
		p.dirty = true
		r.dirty = append(r.dirty, p)
	}
}

// flush hands the batch to the appenders. It returns false if the reader must end.
func (r *reader) flush() bool {
	if len(r.dirty) == 0 {
		return true
	}
	for _, p := range r.dirty {
		r.batch.Progress(p.feed, p.num, p.read-1)
	}
	r.heartbeat.End() // if this blocks, an appender stands, not the reader
	err := r.batch.Send(r.c.ctx)
	r.heartbeat.Begin()
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.c.log.Error("cannot hand records to the rooms; reading ends", "error", err)
		}
		return false
	}
	for _, p := range r.dirty {
		p.dirty = false
		p.topic.count(p)
		p.next.Store(p.read)
		if p.read >= p.end && !p.caught.Load() {
			p.caught.Store(true)
			r.c.kick() // this may make the Consumer ready
		}
	}
	r.dirty = r.dirty[:0]
	f := &r.c.figures
	f.processed.Add(r.since.records)
	f.bytes.Add(r.since.bytes)
	f.repeated.Add(r.since.repeated)
	f.misplaced.Add(r.since.misplaced)
	r.since = struct{ records, bytes, repeated, misplaced uint64 }{}
	return true
}

// failed handles an error of the client. It names no partition, so the watcher looks at all.
func (r *reader) failed(code kafka.ErrorCode, said string) {
	switch code {
	case kafka.ErrAutoOffsetReset:
		r.stuck.Store(true)
	case kafka.ErrMaxPollExceeded, kafka.ErrGroupAuthorizationFailed:
		return // an error of the group, and we are in none
	}
	r.c.faults.failed(code, said)
	level := slog.LevelDebug
	if code == kafka.ErrFatal {
		level = slog.LevelError
	}
	r.c.log.Log(r.c.ctx, level, "Kafka consumer", "error", said, "code", code.String())
	r.c.kick()
}
