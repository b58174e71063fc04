package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// topicSeen is what a look saw of a topic.
type topicSeen struct {
	id   string    // Kafka's id of it
	ends []int64   // by partition
	at   time.Time // when the look began
}

// looked is the result of a look.
type looked struct {
	seen *topicSeen
	err  error
}

// lookOn looks at the topic from time to time on a goroutine of its own, since a request may take
// seconds while records come. The channel has the newest look. stop ends it.
func (r *Replica) lookOn() (looks <-chan looked, stop func()) {
	newest := make(chan looked, 1)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-time.After(r.every):
			case <-done:
				return
			case <-r.ctx.Done():
				return
			}
			seen, err := r.look()
			select {
			case <-newest: // the one before was not taken
			default:
			}
			newest <- looked{seen, err}
		}
	})
	return newest, func() { close(done); ended.Wait() }
}

// look asks for the topic's id and for the ends of all its partitions. It takes 3 s at most.
func (r *Replica) look() (*topicSeen, error) {
	at := time.Now()
	if _, err := r.control.GetMetadata(nil, false, int(reachTimeout.Milliseconds())); err != nil {
		return nil, r.failed(err)
	}
	name := r.cfg.Topic
	limit := kafka.SetAdminRequestTimeout(askTimeout)
	ctx, cancel := context.WithTimeout(r.ctx, askTimeout)
	defer cancel()
	res, err := r.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{name}), limit)
	switch {
	case err != nil:
		return nil, r.failed(err)
	case len(res.TopicDescriptions) != 1:
		return nil, fmt.Errorf("topic %q was not described", name)
	}
	d := &res.TopicDescriptions[0]
	switch code := d.Error.Code(); {
	case code == kafka.ErrUnknownTopicOrPart:
		return nil, fmt.Errorf("topic %q does not exist; create it with cleanup.policy=compact", name)
	case code != kafka.ErrNoError:
		return nil, fmt.Errorf("cannot describe topic %q: %w", name, d.Error)
	case len(d.Partitions) == 0:
		return nil, fmt.Errorf("topic %q has no partitions yet", name)
	}
	seen := &topicSeen{id: d.TopicID.String(), ends: make([]int64, len(d.Partitions)), at: at}
	return seen, r.lookAtEnds(seen)
}

func (r *Replica) lookAtEnds(seen *topicSeen) error {
	name := r.cfg.Topic
	ask := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for n := range seen.ends {
		ask[kafka.TopicPartition{Topic: &name, Partition: int32(n)}] = kafka.LatestOffsetSpec
	}
	ctx, cancel := context.WithTimeout(r.ctx, askTimeout)
	defer cancel()
	ends, err := r.admin.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(askTimeout),
		kafka.SetAdminIsolationLevel(isolationOf(r.cfg.Librdkafka)))
	if err != nil {
		return r.failed(err)
	}
	found := answered(ends.ResultInfos, kafka.LatestOffsetSpec)
	for n := range seen.ends {
		info, ok := found[int32(n)]
		if !ok {
			return fmt.Errorf("partition %d of topic %q has no leader that answers", n, name)
		}
		seen.ends[n] = int64(info.Offset)
	}
	return nil
}

// failed returns why brokers do not answer, with the remedy.
func (r *Replica) failed(known error) error {
	return fmt.Errorf("topic %q cannot be read: %s", r.cfg.Topic, why(r.faults, known.Error()))
}

// cut reports whether the log was cut before what was read of it. A look may be older than that, and
// a leader that has just been elected may be behind for a moment.
func (p *replicaPart) cut(end int64) bool {
	switch {
	case p.next <= end:
		p.looks = 0
	case p.looks > 0 && p.beyond == p.next:
		p.looks++
	default:
		p.beyond, p.looks = p.next, 1
	}
	return p.looks >= beyondLooks
}

// wholeAt notes that everything was taken that there was at a look.
func (r *Replica) wholeAt(seen *topicSeen) {
	r.set(func() {
		if r.why != "" {
			r.faults.forget()
		}
		r.whole, r.why, r.current, r.parts = true, "", seen.at, len(seen.ends)
	})
}
