package ingest

import (
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"
)

// partitioner tells the partition of a record key, as producers choose it.
// The key is never empty: without a key producers choose at random.
type partitioner func(key []byte, partitions int32) int32

// partitioners are the names that Route.Partitioner may have. The *_random
// ones differ only in what they do without a key.
var partitioners = map[string]partitioner{
	"murmur2":           murmur2,
	"murmur2_random":    murmur2,
	"consistent":        consistent,
	"consistent_random": consistent,
	"fnv1a":             fnv1a,
	"fnv1a_random":      fnv1a,
}

// places reports whether a record lies where the route's partitioner puts its key, with any
// of so many partitions: producers learn late that a topic has grown.
func (r *route) places(m *record, counts []int32) bool {
	if r.place == nil || len(m.key) == 0 || len(counts) == 0 {
		return true
	}
	for _, n := range counts {
		if r.place(m.key, n) == m.partition {
			return true
		}
	}
	return false
}

const (
	// maxCounts is how many numbers of partitions a topic has had are kept.
	maxCounts = 8
	// strayFor is how long health says that records lie in other partitions than expected.
	strayFor = 5 * time.Minute
)

// strays are a topic's records that lie in other partitions than their route's partitioner
// says. They are delivered as all others. Anyone may use it.
type strays struct {
	counts atomic.Pointer[[]int32] // the newest first
	n      atomic.Uint64
	last   atomic.Int64 // ms since 1970
	warned atomic.Bool
}

// partitions notes how many the topic has now; fresh: it is another topic than before.
func (s *strays) partitions(n int, fresh bool) {
	counts := []int32{int32(n)}
	if old := s.counts.Load(); old != nil && !fresh {
		counts = append(counts, (*old)[:min(len(*old), maxCounts-1)]...)
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
func (c *Consumer) strayed(t *topic, m *record, now int64) {
	t.strays.n.Add(1)
	t.strays.last.Store(now)
	if t.strays.warned.CompareAndSwap(false, true) {
		c.log.Warn("records lie in other partitions than the route's partitioner says: they are delivered, but those of one "+
			"key may be out of order", "topic", t.name, "partition", m.partition, "offset", m.offset, "remedy", strayRemedy)
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

// murmur2 is what Kafka's Java client does: toPositive(murmur2(key)) % partitions
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(key []byte, partitions int32) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for len(key) >= 4 {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
		key = key[4:]
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h&0x7fffffff) % partitions
}

// consistent is librdkafka's default: CRC-32 (IEEE) of the key.
func consistent(key []byte, partitions int32) int32 {
	return int32(crc32.ChecksumIEEE(key) % uint32(partitions))
}

// fnv1a is librdkafka's and Sarama's: the absolute value of the 32-bit FNV-1a.
func fnv1a(key []byte, partitions int32) int32 {
	h := uint32(0x811c9dc5)
	for _, c := range key {
		h ^= uint32(c)
		h *= 0x01000193
	}
	if int32(h) < 0 {
		h = -h
	}
	return int32(h % uint32(partitions))
}
