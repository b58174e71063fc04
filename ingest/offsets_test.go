package ingest

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that is just starting ends the connection, and gives no offsets of its partitions. They
// are asked for again: a start at -1001 would be a gap for all rooms of the partition.
func TestConsumerOffsetsUnanswered(t *testing.T) {
	t.Parallel()
	for answers := range int32(3) { // before it ends connections
		k := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "a"))
		var asked atomic.Int32
		k.ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			if k.CurrentNode() != k.LeaderFor("a", 1) {
				return nil, nil, false
			}
			if n := asked.Add(1); n > answers && n <= answers+4 {
				return nil, errors.New("the connection ends"), true
			}
			return nil, nil, false
		})
		r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"}, allOf("a")).start().ready()
		m := r.join("all")
		newWriter(t, k.ListenAddrs(), nil).numbers("a", 4, 0, 500)
		checkNumbers(t, m.wait(500), 0, 500)
		if s := r.c.Stats(); s.Gaps != 0 || s.Stalls != 0 || s.Resets != 0 {
			t.Errorf("%d gaps, %d partitions that stood, %d resets: want none", s.Gaps, s.Stalls, s.Resets)
		}
	}
}

// Only real offsets in librdkafka's result count.
func TestAnswered(t *testing.T) {
	t.Parallel()
	topic := "a"
	for _, c := range []struct {
		offset kafka.Offset
		spec   kafka.OffsetSpec
		code   kafka.ErrorCode
		want   bool
	}{
		{0, kafka.EarliestOffsetSpec, kafka.ErrNoError, true},
		{7, kafka.LatestOffsetSpec, kafka.ErrNoError, true},
		{7, kafka.LatestOffsetSpec, kafka.ErrLeaderNotAvailable, false},
		{kafka.OffsetInvalid, kafka.LatestOffsetSpec, kafka.ErrNoError, false},
		{kafka.OffsetInvalid, 5, kafka.ErrNoError, false},
		{-1, kafka.LatestOffsetSpec, kafka.ErrNoError, false},
		{-1, 5, kafka.ErrNoError, true}, // no record is that young
		{3, 5, kafka.ErrNoError, true},
	} {
		got := answered(map[kafka.TopicPartition]kafka.ListOffsetsResultInfo{
			{Topic: &topic, Partition: 2}: {Offset: c.offset, Error: kafka.NewError(c.code, "", false)},
		}, c.spec)
		if _, ok := got[2]; ok != c.want {
			t.Errorf("offset %d, error %v, asked for %d: taken is %v", c.offset, c.code, c.spec, ok)
		}
	}
}
