package ingest

import (
	"bytes"
	"time"

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
