package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// topic is one topic as it is now. Only the watcher changes it, holding mu;
// others hold mu to look at what comes after it.
type topic struct {
	name   string
	routes *route.Topic
	feed   *rooms.Feed

	// Its figures; readers add to them once a batch.
	records, bytes atomic.Uint64
	newest         atomic.Int64  // of the records' timestamps, ms; those ahead left out
	unmatched      atomic.Uint64 // records that no route's match names
	ahead          atomic.Uint64 // records whose timestamp is more than maxAhead in the future
	bad            [route.Reasons]atomic.Uint64
	strays         strays

	mu     sync.Mutex
	epoch  string       // "": it was not seen yet
	parts  []*partition // by number; nil: not assigned yet
	why    string       // why it is not read, or not all of it; "": it is
	absent time.Time    // since when why is absentTopic

	// The watcher's own.
	cluster string  // id of the cluster that it is in
	id      string  // Kafka's topic id
	from    startAt // where partitions that are not assigned yet begin
	fills   bool    // that is for the last values: further back than Start
	resume  []int64 // where the partitions were left, by a Consumer before this one too; -1: nowhere
	gone    bool    // it was there, and is not now
}

// partition is one partition of one epoch of a topic. It belongs to its reader's
// goroutine, except for what is atomic.
type partition struct {
	topic  *topic
	feed   *rooms.Feed
	num    int32
	reader *reader
	end    int64 // the end that it had when it was assigned
	begun  int64 // when that was asked for at the latest, ms since 1970
	filled int64 // what comes before is read for the last values: its faults were told before

	next   atomic.Int64 // all before it is routed and sent to the rooms
	caught atomic.Bool  // next has reached end

	read   int64    // all before it is read; next follows at the end of a batch
	leader int32    // leader epoch of the last record; never falls within a log
	dirty  bool     // read has moved since the last batch
	fresh  struct { // read since the last batch
		records, bytes, ahead, unmatched uint64
		newest                           int64 // of their timestamps
	}
	beyond int // looks at which read was beyond the partition's end

	// The watcher's own, to find out whether it moves.
	seen, wanted int64 // next, and the end, at the last look
	since        time.Time
}

// count adds what was read of a partition to the topic's figures.
func (t *topic) count(p *partition) {
	t.records.Add(p.fresh.records)
	t.bytes.Add(p.fresh.bytes)
	for at := t.newest.Load(); p.fresh.newest > at && !t.newest.CompareAndSwap(at, p.fresh.newest); at = t.newest.Load() {
	}
	t.ahead.Add(p.fresh.ahead)
	t.unmatched.Add(p.fresh.unmatched)
	p.fresh.records, p.fresh.bytes, p.fresh.ahead, p.fresh.unmatched = 0, 0, 0, 0
}

// badByReason is how many records were not routed, by reason.
func (t *topic) badByReason() map[string]uint64 {
	out := map[string]uint64{}
	for r := route.Reason(1); r < route.Unmatched; r++ {
		out[r.String()] = t.bad[r].Load()
	}
	return out
}

// status counts the assigned partitions and says what is missing.
func (t *topic) status() (parts int, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.parts {
		if p != nil {
			parts++
		}
	}
	return parts, t.why
}

func (t *topic) caughtUp() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.parts {
		if p == nil || !p.caught.Load() {
			return false
		}
	}
	return len(t.parts) > 0
}

// forgivenAfter is for how long Kafka must say that a topic does not exist until a gateway
// may be ready without it: one that was just made is not known everywhere.
const forgivenAfter = 2 * time.Second

// forgiven reports whether a gateway may be ready without the topic.
func (t *topic) forgiven(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why == absentTopic && now.Sub(t.absent) >= forgivenAfter
}

// set changes what others may look at.
func (t *topic) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// startAt is where reading begins: at the end, the beginning, or so long ago.
type startAt struct {
	beginning bool
	back      time.Duration
}

func parseStart(s string) (startAt, error) {
	switch s {
	case "", "end":
		return startAt{}, nil
	case "beginning":
		return startAt{beginning: true}, nil
	}
	back, err := time.ParseDuration(s)
	if err != nil || back <= 0 {
		return startAt{}, fmt.Errorf("kafka.start is %q: write end, beginning, or how far to look back, such as 30s", s)
	}
	return startAt{back: back}, nil
}

// spec is the start in the words of a ListOffsets request.
func (s startAt) spec(now time.Time) kafka.OffsetSpec {
	switch {
	case s.beginning:
		return kafka.EarliestOffsetSpec
	case s.back > 0:
		return kafka.NewOffsetSpecForTimestamp(now.Add(-s.back).UnixMilli())
	}
	return kafka.LatestOffsetSpec
}

// epochOf is the epoch of a topic: what positions of it carry. Six characters
// are 30 bits; they need only tell apart the few topics that had one name.
func epochOf(cluster, topicID string) string {
	sum := sha256.Sum256([]byte(cluster + "\x00" + topicID))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:6])
}

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
