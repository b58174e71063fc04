package ingest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// fillFrom is where a topic that was there before us is read from. What feeds
// rooms with last values is read from further back than the rest, or they would know
// nothing of keys that are seldom updated: all of a compacted topic, a while
// of others.
func (c *Consumer) fillFrom(t *topic) startAt {
	feeds := slices.ContainsFunc(c.catalog.Patterns(), func(p *rooms.Pattern) bool {
		return p.Feed == t.feed && (p.Class.Conflate || p.Class.Snapshot)
	})
	if !feeds || c.start.beginning || c.cfg.LookBack < 0 {
		return c.start
	}
	if c.compacted(t.name) {
		return startAt{beginning: true}
	}
	return startAt{back: max(c.start.back, c.cfg.LookBack)}
}

// compacted reports whether the topic keeps the newest record of each key for good.
func (c *Consumer) compacted(name string) bool {
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	res, err := c.admin.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: name}}, kafka.SetAdminRequestTimeout(askTimeout))
	if err == nil && len(res) == 1 && res[0].Error.Code() != kafka.ErrNoError {
		err = res[0].Error
	}
	if err != nil || len(res) != 1 {
		c.log.Warn("cannot see whether the topic is compacted; reading a while of it", "topic", name, "look_back", c.cfg.LookBack.Round(time.Second), "error", err)
		return false
	}
	return strings.Contains(res[0].Config["cleanup.policy"].Value, "compact")
}
