package rooms

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"tapecast/rooms/wire"
)

// Pos is a position in one partition: everything up to and including Offset. Offset -1 is the
// position before the first record.
type Pos struct {
	Partition int32
	Offset    int64
}

// Positions is a position in every partition of a topic's epoch. Without an epoch the position is
// not known, and Offsets is empty. Offsets may be shared: only a copy may be changed.
type Positions struct {
	Epoch   string
	Offsets []Pos

	text *sharedText // JSON of the offsets while they are shared; nil: they are not
}

// sharedText is the JSON of positions that many members share. It is made for the first of them and
// copied for the others.
type sharedText struct{ made atomic.Pointer[[]byte] }

// AppendJSON appends {"epoch":"k3x9","0":1234}, or {} if the position is not known.
func (p Positions) AppendJSON(dst []byte) []byte {
	if p.Epoch == "" {
		return append(dst, '{', '}')
	}
	if p.text == nil {
		return p.appendJSON(dst)
	}
	text := p.text.made.Load()
	if text == nil {
		made := slices.Clip(p.appendJSON(nil))
		text = &made
		p.text.made.Store(text)
	}
	return append(dst, *text...)
}

func (p Positions) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"epoch":`...)
	dst = wire.AppendString(dst, p.Epoch)
	for _, o := range p.Offsets {
		dst = append(dst, ',', '"')
		dst = strconv.AppendInt(dst, int64(o.Partition), 10)
		dst = append(dst, '"', ':')
		dst = strconv.AppendInt(dst, o.Offset, 10)
	}
	return append(dst, '}')
}

// unknown is the offset of a partition of which nothing is known yet.
const unknown = -2

// Feed is one source topic as rooms see it: a name, an epoch and a number of partitions. The
// goroutine that reads the topic changes it, through Open and through the events of a Batch. Any
// goroutine may read it.
type Feed struct {
	topic string
	index int // in Config.Feeds; set by New
	shape atomic.Pointer[shape]
	known atomic.Pointer[identity]
}

// identity is the id that Kafka has given the topic of an epoch.
type identity struct{ topicID, epoch string }

// shape is what a topic looks like. It never changes once stored.
type shape struct {
	epoch      string
	gen        int64 // counts epochs
	partitions int32
}

// feedState is how far the tapes of one shard have got with a topic. It is replaced and never
// changed, so a reader sees the offsets of all partitions at one moment.
type feedState struct {
	epoch string
	gen   int64
	off   []int64 // by partition: the last offset that is on the tapes
}

func newFeedState(of *shape, offset int64) *feedState {
	s := &feedState{epoch: of.epoch, gen: of.gen, off: make([]int64, of.partitions)}
	for i := range s.off {
		s.off[i] = offset
	}
	return s
}

// copy returns a copy with at least that many partitions. Nothing has been read of the new ones.
func (s *feedState) copy(partitions int32) *feedState {
	c := newFeedState(&shape{s.epoch, s.gen, max(partitions, int32(len(s.off)))}, -1)
	copy(c.off, s.off)
	return c
}

// NewFeed returns a feed whose epoch is not known yet.
func NewFeed(topic string) *Feed { return &Feed{topic: topic, index: -1} }

// Index returns the index of the feed in the Config.Feeds of its table, or -1 if it is in none.
func (f *Feed) Index() int { return f.index }

// Topic returns the topic's name.
func (f *Feed) Topic() string { return f.topic }

// Open sets the topic's epoch and number of partitions. It must be called before the first record
// is added.
func (f *Feed) Open(epoch string, partitions int32) {
	now := &shape{epoch: epoch, partitions: partitions}
	if old := f.shape.Load(); old != nil {
		now.gen = old.gen
		if epoch != old.epoch {
			now.gen++
		}
	}
	f.shape.Store(now)
}

// Epoch returns the short hash that positions of this topic carry, or "" if it is not known yet.
func (f *Feed) Epoch() string {
	if s := f.shape.Load(); s != nil {
		return s.epoch
	}
	return ""
}

// Identify notes that an epoch is that of the topic with this id. It must be called before the epoch begins.
func (f *Feed) Identify(topicID, epoch string) {
	f.known.Store(&identity{topicIDs.Replace(topicID), epoch})
}

// topicIDs makes one spelling of the base64 of Kafka's tools (for URLs) and of librdkafka.
var topicIDs = strings.NewReplacer("+", "-", "/", "_", "=", "")

// EpochOf returns the epoch of the topic with that id, so that positions of Kafka's own consumers can be
// resumed. If that is not the topic as it is now, it returns the id, which is no epoch.
func (f *Feed) EpochOf(topicID string) string {
	if k, now := f.known.Load(), f.Epoch(); k != nil && k.topicID == topicIDs.Replace(topicID) && k.epoch == now {
		return now
	}
	return topicID
}

// Partitions returns how many partitions the topic has, or 0 if that is not known yet.
func (f *Feed) Partitions() int32 {
	if s := f.shape.Load(); s != nil {
		return s.partitions
	}
	return 0
}
