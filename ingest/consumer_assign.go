package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// The commands that the watcher gives to a reader. They run on the reader's
// goroutine, so between two records.

// metadataWait is how long a reader may wait for metadata of a topic, in ms.
const metadataWait = 2000

// assign begins to read partitions of a topic where each says.
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

// take makes the client fetch partitions. It returns the topic id that the
// client knows, if it does.
func (r *reader) take(t *topic, parts []*partition) (id string, err error) {
	// The client may not know yet of what is new; its own refresh comes after minutes.
	if _, err := r.client.GetMetadata(&t.name, false, metadataWait); err != nil {
		return "", fmt.Errorf("cannot get metadata of topic %q: %w", t.name, err)
	}
	id = r.knownID(t.name)
	if err := r.client.IncrementalAssign(t.places(parts)); err != nil {
		return "", fmt.Errorf("cannot assign %d partitions of topic %q: %w", len(parts), t.name, err)
	}
	return id, nil
}

// knownID is the topic id that the client has learned; "": none, as from
// brokers before Kafka 2.8. The line that says so (see drainLogs) was written
// by now, but not necessarily read.
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

// drop ends reading a topic that is not there any more. What was read of it is
// with the rooms afterwards.
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
	// A client that has seen a topic go may never fetch from one that comes under
	// that name (seen with 2.15.1: partitions stay "unavailable").
	r.worn.Store(true)
	if err := r.client.IncrementalUnassign(t.places(rd.all())); err != nil {
		return fmt.Errorf("cannot give up topic %q: %w", t.name, err)
	}
	return nil
}

// renew reads everything on from where it was, with a new client. If that
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
		rd.doubt.Store(nil) // changed tells it again
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

// again reads a topic's partitions again from where each was.
func (r *reader) again(rd *reading) error {
	if !r.flush() {
		return r.c.ctx.Err()
	}
	clear(r.names)
	places := rd.topic.places(rd.all())
	if err := r.client.IncrementalUnassign(places); err != nil {
		return fmt.Errorf("cannot give up topic %q for a moment: %w", rd.topic.name, err)
	}
	if err := r.client.IncrementalAssign(places); err != nil {
		r.worn.Store(true)
		return fmt.Errorf("cannot assign topic %q again: %w", rd.topic.name, err)
	}
	for _, p := range rd.all() {
		p.leader = 0
	}
	return nil
}

// believe ends a doubt: it is the topic that we know after all.
func (r *reader) believe(rd *reading, d *doubt) error {
	if err := r.again(rd); err != nil {
		return err
	}
	rd.doubt.CompareAndSwap(d, nil) // unless there is another one now
	return nil
}

// bounds are the first and the end offset of a partition as the broker says.
type bounds struct{ low, high int64 }

// beyondLooks is how many looks in a row must find a partition's end before
// our place, until we believe that its log was cut: a leader that has just been
// elected may be behind for a moment.
const beyondLooks = 3

// mend deals with places that are out of range: what retention deleted before
// we read it is a gap. It returns a partition whose log was cut, if there is
// one. All of the topic is assigned again, since nobody says which of the
// partitions librdkafka has stopped.
func (r *reader) mend(t *topic, at map[int32]bounds) (cut *partition, err error) {
	rd := r.readings[t.name]
	if rd == nil {
		return nil, nil
	}
	if rd.doubt.Load() != nil {
		r.stuck.Store(true) // the offsets may be another topic's
		return nil, nil
	}
	for _, p := range rd.all() {
		b, ok := at[p.num]
		switch {
		case !ok:
			r.stuck.Store(true)
		case p.read < b.low:
			r.c.log.Warn("records were deleted before they were read", "topic", t.name, "partition", p.num, "from", p.read, "to", b.low-1)
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

// doubt notes that a topic may have been made again.
func (r *reader) doubt(rd *reading, id string) {
	rd.doubt.Store(&doubt{id, time.Now()})
	r.c.kick()
}

// drainLogs passes librdkafka's lines on, and watches for one of them. When a
// client finds that a topic was made again it says so only there, and goes on in
// the new topic at the offset that it had in the old one, as if nothing had
// happened (librdkafka 2.15.1, rd_kafka_topic_metadata_update). Unless the new
// topic is shorter, its records would pass as the old one's.
//
// The line comes before the first record of the new topic: a fetch with the old
// id fails, and fetch.error.backoff.ms passes before the next.
func (r *reader) drainLogs(lines <-chan kafka.LogEvent) {
	for {
		select {
		case l := <-lines:
			if name, id, ok := parseChangedID(l.Message); ok {
				r.changed(name, id)
			}
			r.c.faults.logged(l)
			r.c.log.Debug("librdkafka", "client", l.Name, "tag", l.Tag, "said", l.Message)
		case <-r.logs:
			return
		}
	}
}

func (r *reader) changed(name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[name] = id
	if rd := r.readings[name]; rd != nil && rd.id != id {
		r.doubt(rd, id)
	}
}

// parseChangedID reads "[thrd:main]: Topic NAME changed id from ID to ID".
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

// all lists the partitions that are the reader's.
func (rd *reading) all() []*partition {
	var list []*partition
	for _, p := range rd.parts {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// places are partitions in librdkafka's form, each at where it is to be read.
func (t *topic) places(parts []*partition) []kafka.TopicPartition {
	var list []kafka.TopicPartition
	for _, p := range parts {
		list = append(list, kafka.TopicPartition{Topic: &t.name, Partition: p.num, Offset: kafka.Offset(p.read)})
	}
	return list
}
