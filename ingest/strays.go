package ingest

import (
	"fmt"
	"sync/atomic"
	"time"

	"tapecast/ingest/route"
)

const (
	// maxCounts is how many numbers of partitions a topic has had are kept, the newest. A
	// record that lies where one of those before them put it counts as misplaced.
	maxCounts = 8
	// strayFor is how long health says that records lie in other partitions than expected.
	strayFor = 5 * time.Minute
)

// strays are a topic's records that lie in other partitions than their route's partitioner
// says. They are delivered as all others. Anyone may use it.
type strays struct {
	counts atomic.Pointer[[]int32] // the newest first
	forgot atomic.Uint64           // of those, beyond maxCounts
	n      atomic.Uint64
	last   atomic.Int64 // ms since 1970
	warned atomic.Bool
}

// partitions notes how many the topic has now; fresh: it is another topic than before.
func (s *strays) partitions(n int, fresh bool) {
	counts := []int32{int32(n)}
	if old := s.counts.Load(); old != nil && !fresh {
		kept := (*old)[:min(len(*old), maxCounts-1)]
		counts = append(counts, kept...)
		s.forgot.Add(uint64(len(*old) - len(kept)))
	}
	s.counts.Store(&counts)
}

// known are the numbers of partitions that the topic has had.
func (s *strays) known() []int32 {
	if counts := s.counts.Load(); counts != nil {
		return *counts
	}
	return nil
}

// strayed counts a record of a topic that lies elsewhere, and warns of the first.
func (c *Consumer) strayed(t *topic, m *route.Record, now int64) {
	t.strays.n.Add(1)
	t.strays.last.Store(now)
	if t.strays.warned.CompareAndSwap(false, true) {
		c.log.Warn("records lie in other partitions than the route's partitioner says: they are delivered, but those of one "+
			"key may be out of order", "topic", t.name, "partition", m.Partition, "offset", m.Offset, "remedy", strayRemedy)
	}
}

const strayRemedy = "name the producers' partitioner (murmur2 for Java, consistent_random for librdkafka, fnv1a_random for Sarama), " +
	"or leave partitioner out"

// strayFault is what health says of records that lie elsewhere; empty: there were none of late.
func (t *topic) strayFault(now time.Time) string {
	last := t.strays.last.Load()
	if last == 0 || now.Sub(time.UnixMilli(last)) > strayFor {
		return ""
	}
	return fmt.Sprintf("topic %q: %d records so far lie in other partitions than the route's partitioner says; %s", t.name, t.strays.n.Load(), strayRemedy)
}
