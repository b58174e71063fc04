package ingest

import (
	"fmt"
	"math"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// wholeSince returns a time, in ms since 1970, such that Kafka has surely deleted no younger
// record of the partitions. It is 0 if nothing was ever deleted. It must be called last, so that
// records that are deleted meanwhile count.
func (a *times) wholeSince(t *topic, parts []int32, end map[int32]int64) (ms int64, err error) {
	low, err := a.c.offsets(t, parts, kafka.EarliestOffsetSpec, a.c.isolation())
	if err != nil {
		return 0, err
	}
	var cut []int32 // partitions that have lost something
	for _, p := range parts {
		if begin, ok := low[p]; !ok || begin < 0 {
			return 0, fmt.Errorf("partition %d of topic %q has no leader", p, t.name)
		} else if begin > 0 {
			cut = append(cut, p)
		}
	}
	if cut == nil {
		return 0, nil
	}
	// There may be no record at the log's start: compaction may have removed it.
	oldest, err := a.c.listOffsets(t, cut, kafka.NewOffsetSpecForTimestamp(0), a.c.isolation())
	if err != nil {
		return 0, err
	}
	for _, p := range cut {
		switch first, ok := oldest[p]; {
		case !ok:
			return 0, fmt.Errorf("partition %d of topic %q has no leader", p, t.name)
		case first.Offset >= 0 && first.Timestamp >= 0:
			ms = max(ms, first.Timestamp)
		default:
			ms = max(ms, t.quietSince(p, end[p]))
		}
	}
	return ms, nil
}

// quietSince returns a time, in ms since 1970, since which the partition has surely got no
// record. It is the time of the assignment if the partition had the same end then.
func (t *topic) quietSince(part int32, end int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(part) < len(t.parts) && t.parts[part] != nil && t.parts[part].end == end {
		return t.parts[part].begun
	}
	return math.MaxInt64
}
