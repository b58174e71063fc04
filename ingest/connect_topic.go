package ingest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// describe asks for the topics' descriptions, with this user's rights.
func (c *connector) describe(topics []TopicAsk) map[string]kafka.TopicDescription {
	out := map[string]kafka.TopicDescription{}
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	if names == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.bounds.ask)
	defer cancel()
	res, err := c.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames(names),
		kafka.SetAdminRequestTimeout(c.bounds.ask), kafka.SetAdminOptionIncludeAuthorizedOperations(true))
	if err != nil {
		c.say(Found{FoundBad, "topics", "cannot be described: " + why(c.faults, err.Error())})
	}
	for _, d := range res.TopicDescriptions {
		out[d.Name] = d
	}
	return out
}

func (c *connector) topic(t TopicAsk, d kafka.TopicDescription) {
	what := "topic " + t.Name
	bad := func(format string, args ...any) { c.say(Found{FoundBad, what, fmt.Sprintf(format, args...)}) }
	switch code := d.Error.Code(); {
	case code == kafka.ErrUnknownTopicOrPart:
		bad("does not exist; %s", t.Absent)
		return
	case code == kafka.ErrTopicAuthorizationFailed:
		bad("this user may not describe it; grant Describe and %s on it", t.wants())
		return
	case code != kafka.ErrNoError:
		bad("cannot be described: %s", d.Error.String())
		return
	case d.Name == "":
		return // describe has reported it
	}
	if lacks := t.lacks(d.AuthorizedOperations); lacks != "" {
		bad("this user may not do what the gateway does; grant %s on it", lacks)
		return
	}
	policy := c.policy(t)
	if t.Reads {
		if text := c.read(d); text != "" {
			bad("its %d partitions cannot all be read: %s", len(d.Partitions), text)
			return
		}
		policy += ", all of them can be read"
	}
	if t.Writes && d.AuthorizedOperations != nil {
		policy += ", this user may write it"
	}
	c.say(Found{FoundGood, what, fmt.Sprintf("has %d partitions%s", len(d.Partitions), policy)})
}

// wants returns the rights that the gateway needs, as Kafka names them.
func (t TopicAsk) wants() string {
	var names []string
	if t.Reads {
		names = append(names, "Read")
	}
	if t.Writes {
		names = append(names, "Write")
	}
	return strings.Join(names, " and ")
}

// lacks returns the rights that the user does not have; "": none, or brokers do not say.
func (t TopicAsk) lacks(has []kafka.ACLOperation) string {
	if has == nil || slices.Contains(has, kafka.ACLOperationAll) {
		return ""
	}
	t.Reads = t.Reads && !slices.Contains(has, kafka.ACLOperationRead)
	t.Writes = t.Writes && !slices.Contains(has, kafka.ACLOperationWrite)
	return t.wants()
}

// policy returns the topic's cleanup.policy as a text to append. It reports warnings to say.
func (c *connector) policy(t TopicAsk) string {
	policy, err := cleanupPolicy(c.ctx, c.admin, t.Name, c.bounds.ask)
	if err != nil {
		if t.LastValues {
			c.say(Found{FoundOdd, "topic " + t.Name, fmt.Sprintf("whether it is compacted cannot be seen, so "+
				"last values are read from kafka.look_back on only (%v); grant DescribeConfigs on it", err)})
		}
		if t.Kept != "" {
			c.say(Found{FoundOdd, "topic " + t.Name, fmt.Sprintf("whether it is compacted cannot be seen (%v): %s", err,
				t.Kept)})
		}
		return ""
	}
	if policy == "" {
		return ""
	}
	if t.Kept != "" && policy != "compact" {
		c.say(Found{FoundOdd, "topic " + t.Name, "has cleanup.policy " + policy + ": " + t.Kept})
	}
	if strings.Contains(policy, "compact") {
		for _, text := range t.Compacted {
			c.say(Found{FoundOdd, "topic " + t.Name, "is compacted: " + text})
		}
	}
	return ", cleanup.policy " + policy
}

// read begins to read all partitions at their ends. It returns the fault if some cannot be read.
func (c *connector) read(d kafka.TopicDescription) string {
	open := map[int32]kafka.TopicPartitionInfo{}
	var at []kafka.TopicPartition
	for _, p := range d.Partitions {
		open[int32(p.Partition)] = p
		at = append(at, kafka.TopicPartition{Topic: &d.Name, Partition: int32(p.Partition), Offset: kafka.OffsetEnd})
	}
	// Otherwise the client looks for the leaders only when its timer fires next.
	_, _ = c.reader.GetMetadata(&d.Name, false, int(c.bounds.ask.Milliseconds()))
	if err := c.reader.Assign(at); err != nil {
		return err.Error()
	}
	defer c.reader.Unassign()
	said := "nothing came in " + c.bounds.read.String()
	for end := time.Now().Add(c.bounds.read); len(open) > 0; {
		if time.Now().After(end) || c.ctx.Err() != nil {
			return unread(open) + why(c.faults, said)
		}
		switch ev := c.reader.Poll(100).(type) {
		case kafka.PartitionEOF:
			delete(open, ev.Partition)
		case *kafka.Message:
			if ev.TopicPartition.Error == nil {
				delete(open, ev.TopicPartition.Partition)
			}
		case kafka.Error:
			c.faults.failed(ev.Code(), ev.Error())
			said = ev.Error()
			if ev.Code() == kafka.ErrTopicAuthorizationFailed {
				return said + "; grant Read on it"
			}
		}
	}
	return ""
}

// unread names the first partition that could not be read, and its leader.
func unread(open map[int32]kafka.TopicPartitionInfo) string {
	least := slices.Min(slices.Collect(maps.Keys(open)))
	p := open[least]
	if p.Leader == nil || p.Leader.ID < 0 {
		return fmt.Sprintf("partition %d has no leader: ", least)
	}
	return fmt.Sprintf("partition %d, led by broker %d at %s:%d: ", least, p.Leader.ID, p.Leader.Host, p.Leader.Port)
}
