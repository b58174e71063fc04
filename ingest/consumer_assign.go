package ingest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// The watcher's commands to a reader. They run on the reader's goroutine, between two batches.

// metadataWait is how long a reader may wait for metadata of a topic, in ms.
const metadataWait = 2000

// assign begins to read partitions of a topic, each at its next offset.
func (r *reader) assign(t *topic, id string, parts []*partition) error {
	if err := r.open(); err != nil {
		return err
	}
	if r.worn.Load() {
		if err := r.renew(); err != nil {
			return err
		}
	}
	known, err := r.take(t, parts)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.names)
	rd := r.readings[t.name]
	if rd == nil {
		rd = &reading{topic: t, id: id}
		r.readings[t.name] = rd
	}
	for _, p := range parts {
		for int(p.num) >= len(rd.parts) {
			rd.parts = append(rd.parts, nil)
		}
		rd.parts[p.num] = p
	}
	if known != "" && known != id {
		r.doubt(rd, known)
	}
	return nil
}

// take has the client fetch partitions. It returns the topic id that the client knows, or "".
func (r *reader) take(t *topic, parts []*partition) (id string, err error) {
	// A new topic or partition may be unknown to the client. It refreshes only after minutes.
	if _, err := r.client.GetMetadata(&t.name, false, metadataWait); err != nil {
		return "", fmt.Errorf("cannot get metadata of topic %q: %w", t.name, err)
	}
	id = r.knownID(t.name)
	if err := r.client.IncrementalAssign(t.offsetsOf(parts)); err != nil {
		return "", fmt.Errorf("cannot assign %d partitions of topic %q: %w", len(parts), t.name, err)
	}
	return id, nil
}

// knownID returns the topic id that the client has learned; "": none, as before Kafka 2.8. The client
// has written the log line with the id, but logged may not have got it yet.
func (r *reader) knownID(topic string) string {
	for range 100 {
		r.mu.Lock()
		id := r.ids[topic]
		r.mu.Unlock()
		if id != "" {
			return id
		}
		time.Sleep(time.Millisecond)
	}
	return ""
}

// drop ends reading a topic that is gone. It first sends the records that were read to the rooms.
func (r *reader) drop(t *topic) error {
	if !r.flush() {
		return r.c.ctx.Err()
	}
	r.mu.Lock()
	rd := r.readings[t.name]
	delete(r.readings, t.name)
	clear(r.names)
	r.mu.Unlock()
	if rd == nil {
		return nil
	}
	// A client that has seen a topic vanish may never fetch from a new topic of that
	// name (seen with 2.15.1: partitions stay "unavailable").
	r.worn.Store(true)
	if err := r.client.IncrementalUnassign(t.offsetsOf(rd.all())); err != nil {
		return fmt.Errorf("cannot unassign topic %q: %w", t.name, err)
	}
	return nil
}

// renew replaces the client. The new one goes on at the next offset of each partition. If that
// fails the reader stays worn, and the watcher tries again.
func (r *reader) renew() error {
	if !r.flush() {
		return r.c.ctx.Err()
	}
	r.worn.Store(true)
	r.close()
	clear(r.names)
	r.mu.Lock()
	clear(r.ids)
	r.mu.Unlock()
	for _, rd := range r.readings {
		rd.doubt.Store(nil) // the new client's log brings it again
	}
	if err := r.open(); err != nil {
		return err
	}
	for _, rd := range r.readings {
		if _, err := r.take(rd.topic, rd.all()); err != nil {
			return err
		}
		for _, p := range rd.all() {
			p.leader = 0
		}
	}
	r.worn.Store(false)
	return nil
}

// again assigns a topic's partitions again, each at its next offset.
func (r *reader) again(rd *reading) error {
	if !r.flush() {
		return r.c.ctx.Err()
	}
	clear(r.names)
	offsets := rd.topic.offsetsOf(rd.all())
	if err := r.client.IncrementalUnassign(offsets); err != nil {
		return fmt.Errorf("cannot unassign topic %q: %w", rd.topic.name, err)
	}
	if err := r.client.IncrementalAssign(offsets); err != nil {
		r.worn.Store(true)
		return fmt.Errorf("cannot assign topic %q again: %w", rd.topic.name, err)
	}
	for _, p := range rd.all() {
		p.leader = 0
	}
	return nil
}

// beyondLooks is the number of looks in a row that must find a partition's end before our next
// offset. Then its log was cut. A leader that has just been elected may be behind for a moment.
const beyondLooks = 3

// mend deals with offsets that are out of range. If retention deleted records before they were
// read, the rooms get a gap. mend returns a partition whose log was cut, or nil. It assigns all
// of the topic again, since librdkafka does not say which partition it has stopped.
func (r *reader) mend(t *topic, at map[int32]bounds) (cut *partition, err error) {
	rd := r.readings[t.name]
	if rd == nil {
		return nil, nil
	}
	if rd.doubt.Load() != nil {
		r.stuck.Store(true) // the offsets may be those of another topic
		return nil, nil
	}
	for _, p := range rd.all() {
		b, ok := at[p.num]
		switch {
		case !ok:
			r.stuck.Store(true)
		case p.read < b.low:
			r.c.log.Warn("records were deleted before they were read", "topic", t.name, "partition", p.num, "from",
				p.read, "to", b.low-1)
			r.c.figures.gaps.Add(1)
			if !r.flush() {
				return nil, r.c.ctx.Err()
			}
			r.batch.Gap(t.feed, p.num, p.read-1, b.low-1)
			r.advance(p, b.low)
		case p.read > b.high:
			r.stuck.Store(true)
			if p.beyond++; p.beyond >= beyondLooks {
				cut = p
			}
			continue
		}
		p.beyond = 0
	}
	return cut, r.again(rd)
}

func (r *reader) doubt(rd *reading, id string) {
	rd.doubt.Store(&doubt{id, time.Now()})
	r.c.kick()
}

// logged takes a log line of the client, and looks for a topic id that the client has learned. It
// doubts a reading of another id. A client that finds that a topic was made again says so only in
// its log. It goes on in the new topic at the offset that it had in the old one (librdkafka 2.15.1,
// rd_kafka_topic_metadata_update). Unless the new topic is shorter, its records would pass as the
// old one's.
//
// The line comes before the first record of the new topic: a fetch with the old
// id fails, and fetch.error.backoff.ms passes before the next.
func (r *reader) logged(l kafka.LogEvent) {
	r.c.faults.logged(l)
	name, id, ok := parseChangedID(l.Message)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[name] = id
	if rd := r.readings[name]; rd != nil && rd.id != id {
		r.doubt(rd, id)
	}
}

// parseChangedID parses "[thrd:main]: Topic NAME changed id from ID to ID".
func parseChangedID(line string) (name, id string, ok bool) {
	_, rest, ok := strings.Cut(line, "Topic ")
	if !ok {
		return "", "", false
	}
	name, rest, ok = strings.Cut(rest, " changed id from ")
	if !ok {
		return "", "", false
	}
	_, id, ok = strings.Cut(rest, " to ")
	return name, id, ok
}

func (rd *reading) all() []*partition {
	return slices.DeleteFunc(slices.Clone(rd.parts), func(p *partition) bool { return p == nil })
}

// offsetsOf returns the next offset of each partition, in librdkafka's form.
func (t *topic) offsetsOf(parts []*partition) []kafka.TopicPartition {
	var list []kafka.TopicPartition
	for _, p := range parts {
		list = append(list, kafka.TopicPartition{Topic: &t.name, Partition: p.num, Offset: kafka.Offset(p.read)})
	}
	return list
}
