package ingest

import (
	"fmt"
	"sync/atomic"
	"time"

	"tapecast/ingest/route"
)

const (
	// maxCounts bounds the partition counts of a topic that are kept, the newest ones. A
	// record that an older count put into its partition counts as misplaced.
	maxCounts = 8
	// misplacedFor is how long Health reports misplaced records after the last one.
	misplacedFor = 5 * time.Minute
)

// misplaced counts a topic's misplaced records: the route's partitioner says another partition.
// They are delivered like all others. Any goroutine may use it.
type misplaced struct {
	counts atomic.Pointer[[]int32] // the partition counts that the topic has had, the newest first
	forgot atomic.Uint64           // counts beyond maxCounts
	n      atomic.Uint64           // misplaced records
	last   atomic.Int64            // time of the last one, ms since 1970
	warned atomic.Bool
}

// partitions notes the topic's partition count. It drops older counts if the topic is a fresh one.
func (s *misplaced) partitions(n int, fresh bool) {
	counts := []int32{int32(n)}
	if old := s.counts.Load(); old != nil && !fresh {
		kept := (*old)[:min(len(*old), maxCounts-1)]
		counts = append(counts, kept...)
		s.forgot.Add(uint64(len(*old) - len(kept)))
	}
	s.counts.Store(&counts)
}

// known returns the partition counts that the topic has had.
func (s *misplaced) known() []int32 {
	if counts := s.counts.Load(); counts != nil {
		return *counts
	}
	return nil
}

// foundMisplaced counts a misplaced record of a topic, and warns of the first.
func (c *Consumer) foundMisplaced(t *topic, m *route.Record, now int64) {
	t.misplaced.n.Add(1)
	t.misplaced.last.Store(now)
	if t.misplaced.warned.CompareAndSwap(false, true) {
		c.log.Warn("records lie in other partitions than the route's partitioner says: they are delivered, but those "+
			"of one key may be out of order", "topic", t.name, "partition", m.Partition, "offset", m.Offset,
			"remedy", misplacedRemedy)
	}
}

const misplacedRemedy = "name the producers' partitioner (murmur2 for Java, consistent_random for librdkafka, " +
	"fnv1a_random for Sarama), or leave partitioner out"

// misplacedFault returns the text of Health about misplaced records; "": there were none lately.
func (t *topic) misplacedFault(now time.Time) string {
	last := t.misplaced.last.Load()
	if last == 0 || now.Sub(time.UnixMilli(last)) > misplacedFor {
		return ""
	}
	return fmt.Sprintf("topic %q: %d records so far lie in other partitions than the route's partitioner says; %s",
		t.name, t.misplaced.n.Load(), misplacedRemedy)
}
