package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

// recallClient is a librdkafka consumer for reading again, beside those that read live.
type recallClient struct {
	*polledClient
	topic *topic // the last that it read
}

// fetchAhead is about how many bytes of a partition are fetched at a time.
const fetchAhead = 256 << 10

func newRecallClient(c *Consumer) (*recallClient, error) {
	conf, err := recallConf(c.cfg)
	if err != nil {
		return nil, err
	}
	client, err := newPolledClient(conf, c.log, c.faults.logged)
	return &recallClient{polledClient: client}, err
}

const (
	// readFor bounds the time of one slice, and quietFor the time without any record of it.
	// Then the records so far count, and others have their turn. Tests make a Consumer wait
	// for longer.
	readFor  = 3 * time.Second
	quietFor = time.Second
)

// sliceRead is a slice while it is read.
type sliceRead struct {
	c         *Consumer
	heartbeat *heartbeat.Counter
	topic     *topic
	want      *wanted // the rooms whose records are taken; nil: all
	left      int64   // bytes of memory that may still be taken
	open      map[int32]*piece
	next      map[int32]int64 // the next offset of each partition
	to        map[int32]int64 // the end of each stretch
	dec       *route.Decoder
	into      *piece // the piece of the record that is being routed
	took      bool   // some room of it was taken
	ended     []*piece
	until     time.Time
	heard     time.Time // when the last record came
	stats     struct{ records, bytes, taken uint64 }
}

// read reads stretches of one topic into pieces. It ends early if its memory is used up, or if it
// takes too long. Then the pieces of some stretches are shorter, or missing.
func (r *recallClient) read(a *recaller, of *recallRead) error {
	now, t := time.Now(), of.g.topic.topic
	d := &sliceRead{
		c: a.c, heartbeat: &of.lane.heartbeat, topic: t, want: of.want, left: of.most,
		until: now.Add(a.c.readFor), heard: now,
	}
	d.dec = route.NewDecoder(a.c.cfg.MaxRecord, d.take)
	if r.topic != t {
		// Otherwise librdkafka looks for the leaders of a topic that is new to it only when its
		// timer fires, after up to a second. It still does if this fails.
		_, _ = r.GetMetadata(&t.name, false, int(reachTimeout.Milliseconds()))
		r.topic = t
	}
	var err error
	for list := of.list; len(list) > 0 && err == nil && d.goesOn(); {
		var now, later []stretch // a partition can be assigned only once at a time
		for _, s := range list {
			if slices.ContainsFunc(now, func(n stretch) bool { return n.part == s.part }) {
				later = append(later, s)
			} else {
				now = append(now, s)
			}
		}
		err = r.readOnce(d, now)
		list = later
	}
	f := &a.figures
	f.reads.Add(uint64(len(d.ended)))
	f.records.Add(d.stats.records)
	f.bytes.Add(d.stats.bytes)
	f.dropped.Add(d.stats.bytes - d.stats.taken)
	of.pieces, of.records, of.bytes = d.ended, d.stats.records, d.stats.bytes
	return err
}

func (d *sliceRead) goesOn() bool {
	now := time.Now()
	return d.left > 0 && now.Before(d.until) && now.Sub(d.heard) < d.c.quietFor && d.c.ctx.Err() == nil
}

// take adds a routed record to its piece.
func (d *sliceRead) take(rec *rooms.Record) {
	if d.want != nil && !d.want.rooms[string(rec.Room)] {
		d.want.name(d.into, rec)
		return
	}
	one := *rec
	one.Key, one.Room = bytes.Clone(rec.Key), nil
	d.into.rooms[string(rec.Room)] = append(d.into.rooms[string(rec.Room)], one)
	d.into.bytes += recordSize + int64(len(rec.Key)+len(rec.Value))
	d.took = true
}

// readOnce reads one stretch of each of several partitions.
func (r *recallClient) readOnce(d *sliceRead, list []stretch) error {
	d.open, d.next, d.to = map[int32]*piece{}, map[int32]int64{}, map[int32]int64{}
	var at []kafka.TopicPartition
	for _, s := range list {
		d.open[s.part] = &piece{stretch: stretch{s.part, s.from, s.from}, rooms: map[string][]rooms.Record{}}
		d.next[s.part], d.to[s.part] = s.from, s.to
		at = append(at, kafka.TopicPartition{Topic: &d.topic.name, Partition: s.part, Offset: kafka.Offset(s.from)})
	}
	if err := r.Assign(at); err != nil {
		return fmt.Errorf("cannot read topic %q again: %w", d.topic.name, err)
	}
	defer r.Unassign()
	for len(d.open) > 0 && d.goesOn() {
		n := r.poll.poll(pollWait)
		d.heartbeat.Begin()
		for i := range n {
			if err := r.event(d, r.poll.event(i)); err != nil {
				d.heartbeat.End()
				return err
			}
		}
		d.heartbeat.End()
	}
	for part := range d.open {
		d.end(part)
	}
	return nil
}

// end closes the partition's piece with the records that were read.
func (d *sliceRead) end(part int32) {
	p := d.open[part]
	delete(d.open, part)
	if p.to = min(d.next[part], d.to[part]); p.to > p.from {
		p.used = d.heard
		d.ended = append(d.ended, p)
	}
}

func (r *recallClient) event(d *sliceRead, e *polled) error {
	part := int32(e.partition)
	if d.into = d.open[part]; d.into == nil && e.kind != polledError {
		return nil // its stretch has ended
	}
	off := int64(e.offset)
	done := false
	switch e.kind {
	case polledRecord:
		if off < d.next[part] {
			return nil
		}
		d.heard, d.next[part] = time.Now(), off+1
		if off < d.to[part] {
			d.record(e)
		}
		done = off+1 >= d.to[part]
	case polledEnd:
		if done = off >= d.to[part]; done {
			d.heard, d.next[part] = time.Now(), off
		}
	case polledError:
		if code, said := e.fault(); code == kafka.ErrAutoOffsetReset || code == kafka.ErrFatal {
			return fmt.Errorf("cannot read topic %q again: %s", d.topic.name, said)
		}
	}
	if !done {
		return nil
	}
	d.end(part)
	if len(d.open) > 0 { // otherwise librdkafka would fetch on
		_ = r.IncrementalUnassign([]kafka.TopicPartition{{Topic: &d.topic.name, Partition: part}})
	}
	return nil
}

// record routes a record. Its faults were counted when it was read first.
func (d *sliceRead) record(e *polled) {
	var rec route.Record
	e.fill(&rec)
	if d.topic.routes.Headers {
		rec.Headers = e.headers()
	}
	d.took = false
	d.dec.Route(d.topic.routes, &rec)
	size := len(rec.Key) + len(rec.Value)
	if d.took {
		d.stats.taken += uint64(size)
	}
	d.left -= int64(size) + recordSize
	d.stats.records++
	d.stats.bytes += uint64(size)
}
