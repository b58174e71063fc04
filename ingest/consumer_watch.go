package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	// lookTimeout is how long brokers may take to answer before they count as lost.
	lookTimeout = 3 * time.Second
	// lookSoon is the time until the next look where something is unfinished,
	// and the least time between two.
	lookSoon = 100 * time.Millisecond
	// lookLost is the time between two looks for brokers that are lost.
	lookLost = 500 * time.Millisecond
)

// errUnfinished says that a look has to be repeated soon.
var errUnfinished = errors.New("not finished")

// watch looks at the brokers and topics from time to time, and when kicked.
// Its goroutine alone opens topics, hands out partitions and resets epochs.
func (c *Consumer) watch() {
	announced := false
	for {
		wait := c.look()
		if !announced && c.Ready() {
			announced = true
			_, detail := c.Health()
			c.log.Info("Kafka ready", "detail", detail)
		}
		if sleepUntil(c.ctx, time.Now().Add(min(wait, lookSoon))) != nil {
			return
		}
		timer := time.NewTimer(wait - min(wait, lookSoon))
		select {
		case <-timer.C:
		case <-c.kicked:
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// look compares the topics with what we know of them, and returns the time
// until the next look.
func (c *Consumer) look() (wait time.Duration) {
	cluster, found, err := c.describe()
	if err != nil {
		c.lost(err)
		return lookLost
	}
	c.found()
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
	for _, r := range c.readers {
		if r.stuck.Swap(false) {
			wait = min(wait, lookLost)
			if err := c.mend(r); err != nil {
				r.stuck.Store(true)
				c.log.Debug("cannot look at offsets", "error", err)
			}
		}
	}
	return wait
}

// describe asks for the cluster's id and our topics.
func (c *Consumer) describe() (cluster string, found map[string]kafka.TopicDescription, err error) {
	found = map[string]kafka.TopicDescription{}
	ctx, cancel := context.WithTimeout(c.ctx, lookTimeout)
	defer cancel()
	limit := kafka.SetAdminRequestTimeout(lookTimeout)
	cl, err := c.admin.DescribeCluster(ctx, limit)
	if err != nil {
		return "", nil, err
	}
	if cl.ClusterID != nil {
		cluster = *cl.ClusterID
	}
	if len(c.topics) == 0 {
		return cluster, found, nil
	}
	var names []string
	for _, t := range c.topics {
		names = append(names, t.name)
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

// lost notes that no broker answers, unless one has just sent us something.
func (c *Consumer) lost(err error) {
	if c.ctx.Err() != nil || time.Since(time.Unix(0, c.figures.heard.Load())) < lookTimeout {
		return
	}
	c.mu.Lock()
	was := c.state
	if c.state = err.Error(); was == "" {
		c.lostAt = time.Now()
	}
	c.mu.Unlock()
	if was == "" {
		c.log.Warn("Kafka lost", "error", err)
	}
}

func (c *Consumer) found() {
	c.mu.Lock()
	was, since := c.state, c.lostAt
	c.state = ""
	c.mu.Unlock()
	if was != "" {
		c.figures.reconnects.Add(1)
		c.log.Info("Kafka back", "after", time.Since(since).Round(time.Millisecond))
	}
}

// offsets asks for one offset of each partition. Partitions of which nobody
// knows it now are left out.
func (c *Consumer) offsets(t *topic, parts []int32, spec kafka.OffsetSpec, level kafka.IsolationLevel) (map[int32]int64, error) {
	ask := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, n := range parts {
		ask[kafka.TopicPartition{Topic: &t.name, Partition: n}] = spec
	}
	ctx, cancel := context.WithTimeout(c.ctx, lookTimeout)
	defer cancel()
	res, err := c.admin.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(lookTimeout), kafka.SetAdminIsolationLevel(level))
	if err != nil {
		return nil, fmt.Errorf("cannot list offsets of topic %q: %w", t.name, err)
	}
	out := map[int32]int64{}
	for at, info := range res.ResultInfos {
		if info.Error.Code() == kafka.ErrNoError {
			out[at.Partition] = int64(info.Offset)
		}
	}
	return out, nil
}

// isolation is what our consumers read with.
func (c *Consumer) isolation() kafka.IsolationLevel {
	if c.cfg.Librdkafka["isolation.level"] == "read_uncommitted" {
		return kafka.IsolationLevelReadUncommitted
	}
	return kafka.IsolationLevelReadCommitted
}
