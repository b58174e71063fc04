package rooms

import (
	"context"
	"sync"

	"tapecast/rooms/wire"
)

// Record is one Kafka record on its way to one room. The comment in name.go says what its fields
// may hold; nothing here checks them again.
type Record struct {
	Pattern   *Pattern
	Room      []byte // copied by Add
	Type      string // the route's word for it; kept
	Key       []byte // copied by Add
	HasKey    bool   // the route has a key
	Partition int32
	Offset    int64
	Time      int64  // Kafka's timestamp, ms since 1970
	Value     []byte // kept until appended and never changed; nil is a tombstone
	Binary    bool   // bare frames: opcode binary instead of text
	Keyframe  bool   // a client can start here: it needs nothing from before
	Origin    any    // handed to Batch.Refused; may be nil
}

type itemKind uint8

const (
	itemRecord itemKind = iota
	itemProgress
	itemReset
	itemGrow
	itemGap
)

// item is one entry of a part. Items that are not records use feed, shape, part and off.
type item struct {
	kind     itemKind
	binary   bool
	hasKey   bool
	keyframe bool
	part     int32
	name     span // into the part's arena
	key      span
	pattern  *Pattern
	feed     *Feed
	typ      string
	value    []byte
	off      int64
	time     int64  // Kafka's timestamp
	from     int64  // a gap: the last offset before it
	shape    *shape // of the feed when the item was added; the feed's own may have changed since
}

// What follows the envelope of a message: its value (null for a tombstone), then a brace.
var (
	null  = []byte("null")
	brace = []byte("}")
)

// envelope returns the envelope of the record. prev is the offset of the room's previous message,
// or unknown.
func (it *item) envelope(room string, p *part, prev int64) wire.Envelope {
	e := wire.Envelope{
		Room: room, Type: it.typ, HasKey: it.hasKey,
		Partition: it.part, Offset: it.off, Prev: prev, Time: it.time,
	}
	if it.hasKey {
		e.Key = p.text(it.key)
	}
	return e
}

type span struct{ from, to uint32 }

// part is a batch's share for one shard.
type part struct {
	items []item
	arena []byte

	origins []origin // of records that may be refused
	refused func(*Refused)
}

func (p *part) text(s span) []byte { return p.arena[s.from:s.to] }

func (p *part) keep(b []byte) span {
	from := uint32(len(p.arena))
	p.arena = append(p.arena, b...)
	return span{from, uint32(len(p.arena))}
}

var parts = sync.Pool{New: func() any { return new(part) }}

func (p *part) recycle() {
	clear(p.items) // values must not outlive their frames
	clear(p.origins)
	p.items, p.arena, p.origins, p.refused = p.items[:0], p.arena[:0], p.origins[:0], nil
	parts.Put(p)
}

// Batch carries records from one consumer to the appenders. It is not safe for concurrent use. All
// records of one partition must go through the same Batch.
type Batch struct {
	// Refused is called on an appender's goroutine for each record whose room may not be created.
	// It must not block, and must be set before the first Add. If it is nil, refused records are
	// only counted.
	Refused func(*Refused)

	table *Table
	parts []*part
	n     int
}

// NewBatch returns an empty batch.
func (t *Table) NewBatch() *Batch {
	return &Batch{table: t, parts: make([]*part, len(t.shards))}
}

// Len is the number of records added since the last Send.
func (b *Batch) Len() int { return b.n }

func (b *Batch) part(shard int) *part {
	p := b.parts[shard]
	if p == nil {
		p = parts.Get().(*part)
		p.refused = b.Refused
		b.parts[shard] = p
	}
	return p
}

// Add adds one record for its room.
func (b *Batch) Add(r *Record) {
	p := b.part(b.table.shardOfBytes(r.Room))
	if r.Origin != nil {
		p.origins = append(p.origins, origin{len(p.items), r.Origin})
	}
	p.items = append(p.items, item{
		kind: itemRecord, pattern: r.Pattern, typ: r.Type, hasKey: r.HasKey, binary: r.Binary, keyframe: r.Keyframe,
		name: p.keep(r.Room), key: p.keep(r.Key),
		part: r.Partition, off: r.Offset, time: r.Time, value: r.Value,
	})
	b.n++
}

func (b *Batch) all(it item) {
	it.shape = it.feed.shape.Load()
	if it.shape == nil {
		panic("BUG: topic " + it.feed.topic + " has an event before it was opened")
	}
	for i := range b.parts {
		p := b.part(i)
		p.items = append(p.items, it)
	}
}

// Progress notes that the consumer has read the partition up to and including offset, and has added
// every record that fits a room. It must go with the Send of those records. Otherwise a member that
// joins between the two would get positions that cover frames it was not sent.
func (b *Batch) Progress(f *Feed, partition int32, offset int64) {
	b.all(item{kind: itemProgress, feed: f, part: partition, off: offset})
}

// Reset notes that the topic was created again: members get `reset`. All records of the old topic
// must have been sent before, in whichever batch. Records of the new topic may be added to another
// batch only after the Send of this one has returned.
func (b *Batch) Reset(f *Feed, epoch string, partitions int32) {
	f.Open(epoch, partitions)
	b.all(item{kind: itemReset, feed: f})
}

// Grow notes that the topic has more partitions now. They are read from their start.
func (b *Batch) Grow(f *Feed, partitions int32) {
	if s := f.shape.Load(); s != nil && s.partitions < partitions {
		f.Open(s.epoch, partitions)
	}
	b.all(item{kind: itemGrow, feed: f})
}

// Gap notes that the offsets after from, up to and including to, were lost before they reached this
// node: members get `gap`.
func (b *Batch) Gap(f *Feed, partition int32, from, to int64) {
	b.all(item{kind: itemGap, feed: f, part: partition, from: from, off: to})
}

// Send hands everything to the appenders and empties the batch. It blocks while they are behind. It
// returns the error of ctx, or ErrStopped.
func (b *Batch) Send(ctx context.Context) error {
	for i, p := range b.parts {
		if p == nil {
			continue
		}
		s := b.table.shards[i]
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped:
			return ErrStopped
		}
		b.table.flying.Add(int64(len(p.items)))
		if !s.box.put(p) {
			return ErrStopped
		}
		b.parts[i] = nil
	}
	b.n = 0
	return nil
}

// ask is one request to an appender: exactly one field is set.
type ask struct {
	join    *Join
	leave   *Sub
	unwatch *Watch
	do      func(*shard) // for figures; runs on the appender
}

// mailbox is how other goroutines reach an appender. Its lock is held for a few instructions.
// Records and requests are taken out in whole slices.
type mailbox struct {
	mu     sync.Mutex
	asks   []ask
	parts  []*part
	closed bool

	wake chan struct{} // holds one token while there is something to take
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// ask adds a request and never blocks. It returns false if the appender has stopped.
func (b *mailbox) ask(a ask) bool { return add(b, &b.asks, a) }

// put adds records. It returns false if the appender has stopped.
func (b *mailbox) put(p *part) bool { return add(b, &b.parts, p) }

func add[T any](b *mailbox, list *[]T, x T) bool {
	b.mu.Lock()
	closed := b.closed
	if !closed {
		*list = append(*list, x)
	}
	b.mu.Unlock()
	if closed {
		return false
	}
	select { // not under the lock, which the appender takes next
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the mailbox. The slices of the last call are filled next.
func (b *mailbox) take(asks []ask, parts []*part) ([]ask, []*part) {
	b.mu.Lock()
	asks, b.asks = b.asks, asks[:0]
	parts, b.parts = b.parts, parts[:0]
	b.mu.Unlock()
	return asks, parts
}

// asked returns how many requests wait.
func (b *mailbox) asked() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.asks))
}

// close refuses everything from now on, and returns the requests that were left.
func (b *mailbox) close() []ask {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	asks := b.asks
	b.asks = nil
	return asks
}
