package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	// reachTimeout bounds a request for metadata, which any broker may answer.
	reachTimeout = time.Second
	// askTimeout bounds a request to the controller or a leader. It is short: librdkafka uses
	// nearly a whole CPU while it waits for a controller that is gone (seen with 2.15.1). Each
	// new look first asks for metadata, and so learns of another controller.
	askTimeout = time.Second
	// lookSoon is the time until the next look if one is unfinished, and the least between two.
	lookSoon = 100 * time.Millisecond
	// stallCheck is the least time between two looks for stalled partitions.
	stallCheck = time.Second
	// lookLost is the time between two looks while brokers do not answer.
	lookLost = 500 * time.Millisecond
)

// errUnfinished means that the watcher must look again soon.
var errUnfinished = errors.New("not finished")

// watch looks at the brokers and topics from time to time, and when kicked.
// Its goroutine alone opens topics, hands out partitions and begins epochs.
func (c *Consumer) watch() {
	announced := false
	for {
		wait := c.look()
		if !announced && c.Ready() {
			announced = true
			_, detail := c.Health()
			c.log.Info("Kafka ready", "detail", detail)
		}
		least := min(wait, lookSoon)
		select {
		case <-time.After(least):
		case <-c.ctx.Done():
			return
		}
		select {
		case <-time.After(wait - least):
		case <-c.kicked:
		case <-c.ctx.Done():
			return
		}
	}
}

// look asks for the topics' descriptions and adapts to them. wait is the time until the next look.
func (c *Consumer) look() (wait time.Duration) {
	c.looked = time.Now()
	if _, err := c.control.GetMetadata(nil, false, int(reachTimeout.Milliseconds())); err != nil {
		if c.missed() >= missesAreLoss {
			c.lost("no Kafka broker is reachable", err)
		}
		return lookLost
	}
	cluster, found, err := c.describe()
	if err != nil { // one cause is a controller whose advertised name does not resolve
		c.log.Debug("cannot describe topics", "error", err)
		n := c.missed()
		if time.Since(c.reach.since) >= describeFor || !c.reach.ever && n >= missesAreLoss {
			c.lost("Kafka does not describe its topics", err)
		}
		return lookLost
	}
	c.reached()
	wait = c.cfg.MetadataEvery
	for _, t := range c.topics {
		d, ok := found[t.name]
		if !ok {
			d.Error = kafka.NewError(kafka.ErrUnknownTopicOrPart, "not described", false)
		}
		if err := c.tend(t, cluster, &d); err != nil {
			wait = min(wait, lookSoon)
			if !errors.Is(err, errUnfinished) {
				wait = min(c.cfg.MetadataEvery, lookLost)
				c.log.Debug("cannot tend topic", "topic", t.name, "error", err)
			}
		}
	}
	if c.tendLetters(found) != nil {
		wait = min(wait, lookSoon)
	}
	if c.dead.trySpare() {
		wait = min(wait, spareEvery)
	}
	for _, r := range c.readers {
		if err := c.repair(r); err != nil {
			wait = min(wait, lookLost)
			c.log.Debug("cannot repair a reader", "error", err)
		}
	}
	c.findStalled()
	c.sayAmiss()
	return wait
}

// repair mends a reader that is worn or stuck. After an error the reader needs another look.
func (c *Consumer) repair(r *reader) error {
	if r.worn.Load() {
		if err := r.do(r.renew); err != nil {
			return err
		}
	}
	if !r.stuck.Swap(false) {
		return nil
	}
	err := c.mend(r)
	if err != nil {
		r.stuck.Store(true)
	} else if r.stuck.Load() {
		err = errUnfinished
	}
	return err
}

// describe asks for the cluster's id, our topics and the dead letter topic.
func (c *Consumer) describe() (cluster string, found map[string]kafka.TopicDescription, err error) {
	found = map[string]kafka.TopicDescription{}
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	limit := kafka.SetAdminRequestTimeout(askTimeout)
	cl, err := c.admin.DescribeCluster(ctx, limit)
	if err != nil {
		return "", nil, err
	}
	if cl.ClusterID != nil {
		cluster = *cl.ClusterID
	}
	var names []string
	for _, t := range c.topics {
		names = append(names, t.name)
	}
	if c.dead.topic != "" {
		names = append(names, c.dead.topic)
	}
	if names == nil {
		return cluster, found, nil
	}
	res, err := c.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames(names), limit)
	if err != nil {
		return "", nil, err
	}
	for _, d := range res.TopicDescriptions {
		found[d.Name] = d
	}
	return cluster, found, nil
}

// offsets asks Kafka for an offset of each partition. It leaves out those without an answer.
func (c *Consumer) offsets(t *topic, parts []int32, spec kafka.OffsetSpec,
	level kafka.IsolationLevel) (map[int32]int64, error) {
	found, err := c.listOffsets(t, parts, spec, level)
	if err != nil {
		return nil, err
	}
	out := make(map[int32]int64, len(found))
	for part, info := range found {
		out[part] = int64(info.Offset)
	}
	return out, nil
}

// bounds are the first offset and the end of a partition, from the broker.
type bounds struct{ low, high int64 }

// boundsOf asks Kafka for the bounds of each partition. It leaves out partitions without an answer.
func (c *Consumer) boundsOf(t *topic, parts []int32, level kafka.IsolationLevel) (map[int32]bounds, error) {
	lows, err := c.offsets(t, parts, kafka.EarliestOffsetSpec, level)
	if err != nil {
		return nil, err
	}
	highs, err := c.offsets(t, parts, kafka.LatestOffsetSpec, level)
	out := make(map[int32]bounds, len(highs))
	for n, high := range highs {
		if low, ok := lows[n]; ok {
			out[n] = bounds{low, high}
		}
	}
	return out, err
}

// listOffsets is offsets, for a time also with the timestamps of the records there.
func (c *Consumer) listOffsets(
	t *topic, parts []int32, spec kafka.OffsetSpec, level kafka.IsolationLevel,
) (map[int32]kafka.ListOffsetsResultInfo, error) {
	ask := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, n := range parts {
		ask[kafka.TopicPartition{Topic: &t.name, Partition: n}] = spec
	}
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	res, err := c.admin.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(askTimeout),
		kafka.SetAdminIsolationLevel(level))
	if err != nil {
		return nil, fmt.Errorf("cannot list offsets of topic %q: %w", t.name, err)
	}
	return answered(res.ResultInfos, spec), nil
}

// answered returns the results that came from Kafka. If a broker ended the connection or was
// silent, librdkafka 2.15.1 gives the offset -1001 and no error.
func answered(results map[kafka.TopicPartition]kafka.ListOffsetsResultInfo,
	spec kafka.OffsetSpec) map[int32]kafka.ListOffsetsResultInfo {
	out := map[int32]kafka.ListOffsetsResultInfo{}
	for at, info := range results {
		none := spec >= 0 && info.Offset == -1 // no record is that young
		if info.Error.Code() == kafka.ErrNoError && (info.Offset >= 0 || none) {
			out[at.Partition] = info
		}
	}
	return out
}

func (c *Consumer) isolation() kafka.IsolationLevel { return isolationOf(c.cfg.Librdkafka) }

func isolationOf(librdkafka map[string]string) kafka.IsolationLevel {
	if librdkafka["isolation.level"] == "read_uncommitted" {
		return kafka.IsolationLevelReadUncommitted
	}
	return kafka.IsolationLevelReadCommitted
}

// findStalled looks for partitions that have records but do not move, and has their readers
// replace the client. So no state of librdkafka can stop a room for good.
func (c *Consumer) findStalled() {
	now := time.Now()
	if now.Sub(c.checked) < stallCheck {
		return
	}
	c.checked = now
	for _, t := range c.topics {
		parts := t.numbers(assigned)
		if parts == nil || t.gone {
			continue
		}
		ends, err := c.offsets(t, parts, kafka.LatestOffsetSpec, c.isolation())
		if err != nil {
			c.log.Debug("cannot look for stalled partitions", "error", err)
			continue
		}
		for _, n := range parts {
			p := t.parts[n]
			next := p.next.Load()
			if next != p.seen || next >= p.wanted {
				p.seen, p.since = next, now
			}
			p.wanted = ends[n]
			if now.Sub(p.since) >= c.stallAfter {
				c.log.Warn("partition does not move; reading it with a new client", "topic", t.name, "partition", n,
					"at", next, "end", ends[n])
				c.figures.stalls.Add(1)
				p.since = now
				p.reader.worn.Store(true)
				c.kick()
			}
		}
	}
}
