package ingest

import (
	"fmt"
	"math"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// wholeSince is the earliest time since which Kafka surely has deleted nothing of those
// partitions, which end there. It is asked last: what is deleted meanwhile counts. Topics of
// which nothing was ever deleted are whole since ever.
func (a *times) wholeSince(t *topic, parts []int32, end map[int32]int64) (ms int64, err error) {
	low, err := a.c.offsets(t, parts, kafka.EarliestOffsetSpec, a.c.isolation())
	if err != nil {
		return 0, err
	}
	var cut []int32 // partitions that have lost something
	for _, p := range parts {
		if begin, ok := low[p]; !ok || begin < 0 {
			return 0, fmt.Errorf("nobody leads partition %d of topic %q", p, t.name)
		} else if begin > 0 {
			cut = append(cut, p)
		}
	}
	if cut == nil {
		return 0, nil
	}
	// At log start there may be no record: it was compacted away.
	oldest, err := a.c.places(t, cut, kafka.NewOffsetSpecForTimestamp(0), a.c.isolation())
	if err != nil {
		return 0, err
	}
	for _, p := range cut {
		switch first, ok := oldest[p]; {
		case !ok:
			return 0, fmt.Errorf("nobody leads partition %d of topic %q", p, t.name)
		case first.Offset >= 0 && first.Timestamp >= 0:
			ms = max(ms, first.Timestamp)
		default:
			ms = max(ms, t.quietSince(p, end[p]))
		}
	}
	return ms, nil
}

// quietSince is since when a partition that ends there has surely got no record, in ms since
// 1970: since it was assigned, if it ended there then.
func (t *topic) quietSince(part int32, end int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(part) < len(t.parts) && t.parts[part] != nil && t.parts[part].end == end {
		return t.parts[part].begun
	}
	return math.MaxInt64
}
