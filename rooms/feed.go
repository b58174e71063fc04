package rooms

import (
	"slices"
	"strconv"
	"sync/atomic"

	"tapecast/rooms/wire"
)

// Pos is a place in a topic: everything of the partition up to and including
// Offset. An offset of -1 is the place before the first record.
type Pos struct {
	Partition int32
	Offset    int64
}

// Positions is a place in all partitions of a topic's epoch. Without an epoch
// the place is not known yet, and there are no offsets. Offsets may be shared by
// many, so only a copy of them may be changed.
type Positions struct {
	Epoch   string
	Offsets []Pos

	text *sharedText // of these offsets, which others have too; nil: nobody shares them
}

// sharedText is the JSON of positions that many members have at once: it is made for the
// first of them, and costs the others a copy.
type sharedText struct{ made atomic.Pointer[[]byte] }

// AppendJSON appends {"epoch":"k3x9","0":1234}, or {} where nothing is known.
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

// unknown is the progress of a partition of which nothing was heard yet.
const unknown = -2

// Feed is one source topic as rooms see it: a name, an epoch and a number of
// partitions. The goroutine that reads the topic changes it, through Open and
// through the events of a Batch; anyone may read it.
type Feed struct {
	topic string
	index int // place in Config.Feeds; set by New
	shape atomic.Pointer[shape]
}

// shape is what a topic looks like. It never changes once stored.
type shape struct {
	epoch      string
	gen        int64 // counts epochs
	partitions int32
}

// feedState is how far the tapes of one shard have got with a topic. It is
// replaced, never changed: who reads it sees the place of all partitions at
// one moment.
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

// copy is a copy with as many partitions at least; of those that are new,
// nothing has been read.
func (s *feedState) copy(partitions int32) *feedState {
	c := newFeedState(&shape{s.epoch, s.gen, max(partitions, int32(len(s.off)))}, -1)
	copy(c.off, s.off)
	return c
}

// NewFeed makes a feed whose epoch is not known yet.
func NewFeed(topic string) *Feed { return &Feed{topic: topic, index: -1} }

// Index is the feed's place in the Config.Feeds of its table; -1: it is in none.
func (f *Feed) Index() int { return f.index }

// Topic is the topic's name.
func (f *Feed) Topic() string { return f.topic }

// Open says what the topic looks like, before its first record is added.
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

// Epoch is the short hash that positions of this topic carry; empty: not known yet.
func (f *Feed) Epoch() string {
	if s := f.shape.Load(); s != nil {
		return s.epoch
	}
	return ""
}

// Partitions is how many partitions the topic has; 0: not known yet.
func (f *Feed) Partitions() int32 {
	if s := f.shape.Load(); s != nil {
		return s.partitions
	}
	return 0
}
