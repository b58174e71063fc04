package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
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

// topic is the state of one topic. Only the watcher changes it, and holds mu for the fields that
// mu guards. Others hold mu to read those.
type topic struct {
	name   string
	routes *route.Topic
	feed   *rooms.Feed

	// Its figures. Readers add to them once a batch.
	records, bytes atomic.Uint64
	newest         atomic.Int64  // the newest timestamp, ms, without records that are ahead
	unmatched      atomic.Uint64 // records that no route matches
	ahead          atomic.Uint64 // records whose timestamp is more than maxAhead in the future
	bad            reasonCounts
	misplaced      misplaced

	mu     sync.Mutex   // guards the four fields below
	epoch  string       // "": it was not seen yet
	parts  []*partition // by number; nil: not assigned yet
	why    string       // why some partitions are not read; "": all are read
	absent time.Time    // since when why is absentTopic

	// The watcher's own.
	cluster string  // id of its cluster
	id      string  // Kafka's topic id
	from    startAt // the start of partitions that are not assigned yet
	fills   bool    // from is further back than Start, to fill in last values
	resume  []int64 // the next offset of each partition when it was left; -1: it was not read
	gone    bool    // it does not exist now
}

// partition is one partition of one epoch of a topic. It belongs to its reader's
// goroutine, except for what is atomic.
type partition struct {
	topic  *topic
	feed   *rooms.Feed
	num    int32
	reader *reader
	end    int64 // its end when it was assigned
	begun  int64 // when it was assigned, after the look at its end; ms since 1970
	filled int64 // earlier records are read for last values only: their faults were reported before

	next   atomic.Int64 // all records before this offset are routed and sent to the rooms
	caught atomic.Bool  // next has reached end

	read   int64    // all records before this offset are read; next follows at the end of a batch
	leader int32    // leader epoch of the last record; never falls within a log
	dirty  bool     // read has moved since the last batch
	fresh  struct { // records since the last batch
		records, bytes, ahead, unmatched uint64
		newest                           int64 // the newest timestamp
	}
	beyond int // looks in a row that found the end before read

	// The watcher's own, to see whether the partition moves.
	seen, wanted int64 // next and the end at the last look
	since        time.Time
}

// count adds a partition's fresh records to the topic's figures.
func (t *topic) count(p *partition) {
	t.records.Add(p.fresh.records)
	t.bytes.Add(p.fresh.bytes)
	for at := t.newest.Load(); p.fresh.newest > at &&
		!t.newest.CompareAndSwap(at, p.fresh.newest); at = t.newest.Load() {
	}
	t.ahead.Add(p.fresh.ahead)
	t.unmatched.Add(p.fresh.unmatched)
	p.fresh.records, p.fresh.bytes, p.fresh.ahead, p.fresh.unmatched = 0, 0, 0, 0
}

// reasonCounts are the numbers of records that were not routed, by reason.
type reasonCounts [route.Reasons]atomic.Uint64

func (c *reasonCounts) byReason() map[string]uint64 {
	out := map[string]uint64{}
	for r := route.Reason(1); r < route.Unmatched; r++ {
		out[r.String()] = c[r].Load()
	}
	return out
}

// known returns the topic's epoch, and the numbers of its partitions.
func (t *topic) known() (epoch string, parts []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.parts {
		parts = append(parts, int32(n))
	}
	return t.epoch, parts
}

// status returns the number of assigned partitions, and why the others are not read.
func (t *topic) status() (parts int, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.numbers(assigned)), t.why
}

func (t *topic) numbers(fits func(*partition) bool) (list []int32) {
	for n, p := range t.parts {
		if fits(p) {
			list = append(list, int32(n))
		}
	}
	return list
}

func assigned(p *partition) bool   { return p != nil }
func unassigned(p *partition) bool { return p == nil }

func (t *topic) caughtUp() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.parts) > 0 && t.numbers(func(p *partition) bool { return p == nil || !p.caught.Load() }) == nil
}

// forgivenAfter is how long a topic must not exist until a gateway may be ready without it: not
// all brokers know a topic that was just made.
const forgivenAfter = 2 * time.Second

// forgiven reports whether a gateway may be ready without the topic.
func (t *topic) forgiven(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why == absentTopic && now.Sub(t.absent) >= forgivenAfter
}

// set makes a change under mu.
func (t *topic) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// startAt is the start of reading: the beginning, a time that long ago, or (zero) the end.
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

// spec returns the start as an argument of a ListOffsets request.
func (s startAt) spec(now time.Time) kafka.OffsetSpec {
	switch {
	case s.beginning:
		return kafka.EarliestOffsetSpec
	case s.back > 0:
		return kafka.NewOffsetSpecForTimestamp(now.Add(-s.back).UnixMilli())
	}
	return kafka.LatestOffsetSpec
}

// epochOf returns the epoch of a topic. All of its positions carry it. Six characters
// are 30 bits. They need only tell apart the few topics that had one name.
func epochOf(cluster, topicID string) string {
	sum := sha256.Sum256([]byte(cluster + "\x00" + topicID))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:6])
}

// fillFrom returns the start of a topic that existed before our start. A topic that feeds rooms
// with last values is read from further back, or they would lack keys that are seldom updated:
// from its beginning if it is compacted, else from LookBack.
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
	policy, err := cleanupPolicy(c.ctx, c.admin, name, askTimeout)
	if err != nil {
		c.log.Warn("cannot see whether the topic is compacted; reading it from look_back on",
			"topic", name, "look_back", c.cfg.LookBack.Round(time.Second), "error", err)
	}
	return strings.Contains(policy, "compact")
}

func cleanupPolicy(
	ctx context.Context, admin *kafka.AdminClient, topic string, within time.Duration,
) (policy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	res, err := admin.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}},
		kafka.SetAdminRequestTimeout(within))
	switch {
	case err != nil:
		return "", err
	case len(res) != 1:
		return "", errors.New("no answer")
	case res[0].Error.Code() != kafka.ErrNoError:
		return "", res[0].Error
	}
	return res[0].Config["cleanup.policy"].Value, nil
}

// Progress has the next offset of each partition when a Consumer stopped. The next Consumer of
// the same router and table goes on at these offsets. Only one Consumer at a time may have it.
type Progress struct {
	topics map[string]left
}

// left is the state of one topic when a Consumer stopped.
type left struct {
	cluster, id, epoch string
	next               []int64 // by partition; -1: not read
}

// leave writes the topics to Config.Progress, for the next Consumer.
func (c *Consumer) leave() {
	if c.cfg.Progress.topics == nil {
		c.cfg.Progress.topics = map[string]left{}
	}
	for _, t := range c.topics {
		if t.epoch == "" {
			continue
		}
		c.cfg.Progress.topics[t.name] = left{t.cluster, t.id, t.epoch, t.reached()}
	}
}

// reached returns the next offset of each partition; -1: it was not read.
func (t *topic) reached() []int64 {
	next := make([]int64, len(t.parts))
	for n, p := range t.parts {
		if next[n] = -1; p != nil {
			next[n] = p.next.Load()
		} else if n < len(t.resume) {
			next[n] = t.resume[n]
		}
	}
	return next
}
