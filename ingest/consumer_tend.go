package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// tend adapts one topic to its description. errUnfinished: the watcher must look again soon.
func (c *Consumer) tend(t *topic, cluster string, d *kafka.TopicDescription) error {
	switch code := d.Error.Code(); {
	case code == kafka.ErrUnknownTopicOrPart:
		return c.vanish(t)
	case code != kafka.ErrNoError:
		t.set(func() { t.why = d.Error.String() })
		return fmt.Errorf("cannot describe topic %q: %w", t.name, d.Error)
	case len(d.Partitions) == 0:
		return errUnfinished
	}
	n, id := len(d.Partitions), d.TopicID.String()
	if t.epoch == "" {
		c.begin(t, cluster, id, n)
	}
	switch {
	case t.id != id || t.cluster != cluster:
		if err := c.remake(t, cluster, id, id, n); err != nil {
			return err
		}
	case t.gone:
		if err := c.release(t); err != nil {
			return err
		}
		c.log.Info("topic exists again", "topic", t.name)
	}
	t.gone = false
	if n > len(t.parts) {
		if err := c.grow(t, n); err != nil {
			return err
		}
	}
	return errors.Join(c.settle(t), c.assign(t))
}

// absentTopic is topic.why of a topic that does not exist in Kafka.
const absentTopic = "does not exist"

// vanish gives up a topic that does not exist, or not any more.
func (c *Consumer) vanish(t *topic) error {
	if _, why := t.status(); !t.gone || why != absentTopic { // there may have been another error meanwhile
		t.set(func() { t.why, t.absent = absentTopic, time.Now() })
	}
	if !t.gone {
		t.gone = true
		c.log.Warn("topic does not exist; waiting for it", "topic", t.name)
	}
	return c.release(t)
}

// release has all readers drop the topic. Once it is back, they go on at the next offsets.
func (c *Consumer) release(t *topic) error {
	if t.numbers(assigned) == nil {
		return nil
	}
	if err := c.everywhere(func(r *reader) error { return r.drop(t) }); err != nil {
		return err
	}
	t.resume = t.reached()
	t.set(func() { t.parts = make([]*partition, len(t.parts)) })
	return nil
}

// begin opens a topic that is new to us, or goes on where the previous Consumer left it.
func (c *Consumer) begin(t *topic, cluster, id string, n int) {
	t.from = c.fillFrom(t)
	t.fills = t.from != c.start
	if t.gone {
		t.from, t.fills = startAt{beginning: true}, false // the whole topic is younger than our start
	}
	t.gone = false
	if left, ok := c.cfg.Progress.topics[t.name]; ok {
		t.cluster, t.id, t.resume = left.cluster, left.id, left.next
		t.set(func() { t.epoch, t.parts = left.epoch, make([]*partition, len(left.next)) })
		t.misplaced.partitions(len(left.next), true)
		c.log.Info("topic read on from the last offsets", "topic", t.name, "partitions", n, "epoch", left.epoch)
		return
	}
	t.cluster, t.id = cluster, id
	epoch := epochOf(cluster, id)
	t.feed.Identify(id, epoch)
	t.feed.Open(epoch, int32(n))
	t.misplaced.partitions(n, true)
	t.set(func() { t.epoch, t.parts, t.why = epoch, make([]*partition, n), "partitions are being assigned" })
	c.log.Info("topic opened", "topic", t.name, "partitions", n, "epoch", epoch)
}

// remake begins a new epoch: the topic was deleted and made again, or its log
// was cut. No record of the old epoch may come after that, so all readers drop the topic first.
// The epoch is a hash of mark.
func (c *Consumer) remake(t *topic, cluster, id, mark string, n int) error {
	if err := c.everywhere(func(r *reader) error { return r.drop(t) }); err != nil {
		return err
	}
	epoch := epochOf(cluster, mark)
	t.feed.Identify(id, epochOf(cluster, id)) // not of an epoch whose mark is another
	c.batch.Reset(t.feed, epoch, int32(n))
	if err := c.batch.Send(c.ctx); err != nil {
		return err
	}
	t.cluster, t.id, t.from, t.resume = cluster, id, startAt{beginning: true}, nil
	t.set(func() { t.epoch, t.parts, t.why = epoch, make([]*partition, n), "partitions are being assigned" })
	t.misplaced.partitions(n, true)
	c.figures.resets.Add(1)
	c.log.Warn("topic was made again; its rooms are reset", "topic", t.name, "partitions", n, "epoch", epoch)
	return nil
}

// grow adds new partitions. Clients that resume without a position for them read them from
// their beginning, and so does the gateway.
func (c *Consumer) grow(t *topic, n int) error {
	c.batch.Grow(t.feed, int32(n))
	if err := c.batch.Send(c.ctx); err != nil {
		return err
	}
	c.log.Info("partitions added", "topic", t.name, "before", len(t.parts), "now", n)
	t.from = startAt{beginning: true}
	t.misplaced.partitions(n, false)
	t.set(func() { t.parts = append(t.parts, make([]*partition, n-len(t.parts))...) })
	return nil
}

// settle ends the doubts of readers: the description says that the topic was not made again. A
// doubt that is younger than this look waits for the next one, since the description may be
// older. So does a doubt with another id, for doubtFor: not all brokers may know the new topic.
func (c *Consumer) settle(t *topic) error {
	open := false
	err := c.everywhere(func(r *reader) error {
		rd := r.readings[t.name]
		if rd == nil {
			return nil
		}
		d := rd.doubt.Load()
		switch {
		case d == nil:
			return nil
		case d.since.After(c.looked), d.id != "" && d.id != t.id && time.Since(d.since) < c.doubtFor:
			open = true
			return nil
		}
		if err := r.again(rd); err != nil {
			return err
		}
		rd.doubt.CompareAndSwap(d, nil) // unless there is another one now
		return nil
	})
	if open {
		err = errors.Join(err, errUnfinished)
	}
	return err
}

func (c *Consumer) assign(t *topic) error {
	missing := t.numbers(unassigned)
	if missing == nil {
		t.set(func() { t.why = "" })
		return nil
	}
	ends, err := c.offsets(t, missing, kafka.LatestOffsetSpec, c.isolation())
	if err != nil {
		return err
	}
	starts := ends
	if t.from != (startAt{}) {
		if starts, err = c.offsets(t, missing, t.from.spec(time.Now()), c.isolation()); err != nil {
			return err
		}
	}
	made := make([]*partition, len(t.parts))
	for _, n := range missing {
		end, known := ends[n]
		start, ok := starts[n]
		if !known || !ok {
			continue // it has no leader now
		}
		if start < 0 {
			start = end // no record is that young
		}
		resumed := int(n) < len(t.resume) && t.resume[n] >= 0
		if resumed {
			start = t.resume[n]
		}
		p := &partition{topic: t, feed: t.feed, num: n, end: end, read: start,
			// The partitions of all topics are spread over the readers, the same way each time.
			reader: c.readers[(slices.Index(c.topics, t)+int(n))%len(c.readers)]}
		p.begun = time.Now().UnixMilli()
		if t.fills && !resumed {
			p.filled = end
		}
		p.next.Store(start)
		p.caught.Store(start >= end)
		made[n] = p
		c.batch.Progress(t.feed, n, start-1)
	}
	if err := c.batch.Send(c.ctx); err != nil {
		return err
	}
	return c.handOut(t, made)
}

// handOut gives partitions to their readers. What a reader cannot take stays unassigned.
func (c *Consumer) handOut(t *topic, parts []*partition) error {
	err := c.everywhere(func(r *reader) error {
		mine := slices.DeleteFunc(slices.Clone(parts), func(p *partition) bool { return p == nil || p.reader != r })
		if len(mine) == 0 {
			return nil
		}
		if err := r.assign(t, t.id, mine); err != nil {
			return err
		}
		t.set(func() {
			for _, p := range mine {
				t.parts[p.num] = p
			}
		})
		return nil
	})
	why := ""
	if left := len(t.numbers(unassigned)); left > 0 {
		why = strconv.Itoa(left) + " partitions cannot be assigned yet"
		err = errors.Join(err, errUnfinished)
	}
	t.set(func() { t.why = why })
	return err
}

func (c *Consumer) everywhere(cmd func(*reader) error) error {
	var all error
	for _, r := range c.readers {
		all = errors.Join(all, r.do(func() error { return cmd(r) }))
	}
	return all
}

// mend is for a reader with an offset out of range. It looks at those of all its partitions.
func (c *Consumer) mend(r *reader) error {
	var all error
	for _, t := range c.topics {
		mine := t.numbers(func(p *partition) bool { return p != nil && p.reader == r })
		if mine == nil || t.gone {
			continue
		}
		at, err := c.boundsOf(t, mine, kafka.IsolationLevelReadUncommitted)
		if err != nil {
			all = errors.Join(all, err)
			continue
		}
		var cut *partition
		err = r.do(func() (err error) {
			cut, err = r.mend(t, at)
			return err
		})
		if cut != nil {
			mark := fmt.Sprintf("%s cut %d:%d", t.id, cut.num, at[cut.num].high)
			err = errors.Join(err, c.remake(t, t.cluster, t.id, mark, len(t.parts)), c.assign(t))
		}
		all = errors.Join(all, err)
	}
	return all
}

// addLag adds the unread records to each topic's lag. queued is what librdkafka has fetched.
func (r *reader) addLag(lag map[string]int64) (queued int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return 0
	}
	for name, rd := range r.readings {
		for _, p := range rd.all() {
			if _, high, err := r.client.GetWatermarkOffsets(name, p.num); err == nil && high > p.next.Load() {
				lag[name] += high - p.next.Load()
			}
		}
	}
	return r.client.poll.queued()
}
