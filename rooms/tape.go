package rooms

import (
	"math"
	"sort"
	"sync/atomic"
	"time"
)

// A tape's chunks begin small, so that a quiet room costs little. They double up to maxChunk while
// they fill in less than a quarter of the age that retention keeps, since a chunk is dropped as a
// whole. A frame of more than a sixteenth of maxChunk gets a chunk of its own: a half-sent member
// can then hold it without holding other frames.
const (
	minChunk = 1 << 10
	maxChunk = 256 << 10
	ownChunk = maxChunk / 16

	// perFrame is how many bytes of a chunk go with one entry of its index. It is less than any
	// useful frame, so bytes run out first.
	perFrame = 64

	// frameSize is the size of one entry of a chunk's index, and timeSize that of its time.
	frameSize = 16
	timeSize  = 4
)

// frameAt is one entry of a chunk's index.
type frameAt struct {
	end    uint32 // where the frame ends in the chunk's bytes
	source source
	off    int64 // of the record; of a notice, see source
}

// source tells where a frame comes from: a record of a partition, or no record. A frame without a
// record is a notice, or the message that a key has expired.
type source int32

const (
	sourceReset   source = -1       // offsets before it belong to another epoch; off is the new epoch's gen
	sourceGaps    source = -2       // and less: see gapOf
	sourceExpired source = -1 << 31 // a key was forgotten; off is 0
)

// gapOf returns the source of a gap in a partition; off is the last offset before it.
func gapOf(partition int32) source { return sourceGaps - source(partition) }

// record reports whether the frame is a record.
func (s source) record() bool { return s >= 0 }

// gap reports whether the frame is a gap notice.
func (s source) gap() bool { return s <= sourceGaps && s != sourceExpired }

// partition returns the partition of a record or a gap.
func (s source) partition() int32 {
	if s.gap() {
		return int32(sourceGaps - s)
	}
	return int32(s)
}

// chunk is a run of frames that lie back to back. The appender writes its bytes and index above the
// published head, and never moves or reuses them. So a reader that holds a chunk may read up to the
// published head.
type chunk struct {
	first  uint64 // number of its first frame
	before int64  // bytes of all frames written to the tape before it
	buf    []byte
	at     []frameAt
	times  []int32 // of its frames: Kafka's timestamp, in ms after wall; noTime: none
	events bool    // its frames are server-sent events
	born   int64   // when it was made, ms by the table's clock
	wall   int64   // the same in ms since 1970

	// The appender's own.
	used int   // bytes written
	n    int   // frames written
	last int64 // when the last frame was written, ms
	base []Pos // positions before its first frame, for `gap`

	// after is what had been read of each feed when the chunk was begun, or shortly after. All
	// later records are in this chunk or a later one.
	after []*feedState
}

func (c *chunk) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return c.at[i-1].end
}

func (c *chunk) cost() int64 { return int64(len(c.buf) + len(c.at)*(frameSize+timeSize)) }

// noTime stands for no timestamp, or one that is weeks away from now.
const noTime = math.MinInt32

// timeOf returns a timestamp as the chunk keeps it.
func (c *chunk) timeOf(ts int64) int32 {
	if d := ts - c.wall; ts > 0 && d > noTime && d <= math.MaxInt32 {
		return int32(d)
	}
	return noTime
}

// trail is the start of a chunk that was dropped.
type trail struct {
	first uint64
	base  []Pos
}

const maxTrail = 64

// Tape is an append-only run of frames, numbered from 0. One appender writes
// it; any goroutine reads it below the published head.
type Tape struct {
	dir  atomic.Pointer[[]*chunk] // what retention has left; replaced, never changed
	head atomic.Uint64            // frames published

	trail atomic.Pointer[[]trail] // starts of dropped chunks, newest last; replaced, never changed

	takers [codings]atomic.Int32          // members that take frames in another form
	coded  [codings]atomic.Pointer[coded] // the same frames in that form; nil: nobody takes them

	// The appender's own.
	next uint64 // number of the next frame
	size int    // bytes of the next chunk
	cost int64  // of all chunks in dir
	left int64  // when the last member of its room left, ms
	fed  bool   // its room has had a record

	reach []*feedState // by feed: all later records are still on the tape; nil: not known
}

func newTape() *Tape {
	t := &Tape{size: minChunk}
	t.dir.Store(new([]*chunk))
	return t
}

// tail returns the number of the first frame that is left.
func (t *Tape) tail(head uint64) uint64 {
	if dir := *t.dir.Load(); len(dir) > 0 && dir[0].first < head {
		return dir[0].first
	}
	return head
}

// grow returns a chunk with space for one frame of n bytes, and adds one if it must. cost is the
// size of an added chunk. Retention drops whole chunks, so a chunk should not be larger than a
// quarter of the bytes that are kept, nor take longer to fill than about half of the age.
func (t *Tape) grow(n int, k *Class, now int64, base func() []Pos) (c *chunk, cost int64) {
	dir := *t.dir.Load()
	if len(dir) > 0 {
		c = dir[len(dir)-1]
		if c.n < len(c.at) && c.used+n <= len(c.buf) && n <= ownChunk {
			return c, 0
		}
		t.resize(c, k, now)
	}
	size := int(min(int64(t.size), max(k.retainBytes()/4, minChunk)))
	before := int64(0)
	if c != nil {
		before = c.before + int64(c.used)
	}
	c = &chunk{first: t.next, before: before, born: now, wall: time.Now().UnixMilli(), base: base()}
	if n > min(size, ownChunk) {
		c.buf, c.at = make([]byte, n), make([]frameAt, 1)
	} else {
		c.buf, c.at = make([]byte, size), make([]frameAt, size/perFrame)
	}
	c.times = make([]int32, len(c.at))
	grown := make([]*chunk, len(dir)+1)
	copy(grown, dir)
	grown[len(dir)] = c
	t.dir.Store(&grown)
	t.cost += c.cost()
	return c, c.cost()
}

// resize chooses the size of the next chunk from how the last one did.
func (t *Tape) resize(c *chunk, k *Class, now int64) {
	age, took := k.retainAge().Milliseconds(), now-c.born
	switch {
	case len(c.buf) > ownChunk && len(c.at) == 1:
		// A large frame says nothing about the others.
	case took > age, c.used < len(c.buf)/2 && c.n < len(c.at):
		// It took too long, or was left half empty because of a large frame.
		t.size = max(t.size/2, minChunk)
	case took < age/4:
		t.size = min(2*t.size, maxChunk)
	}
}

// put completes the frame whose bytes the appender has written to the chunk. ts is Kafka's
// timestamp, or 0 or less if there is none.
func (t *Tape) put(c *chunk, n int, from source, off, ts, now int64) {
	c.used += n
	c.times[c.n] = c.timeOf(ts)
	c.at[c.n] = frameAt{end: uint32(c.used), source: from, off: off}
	c.n++
	c.last = now
	t.next++
}

// drop forgets the n oldest chunks and returns what they cost. Readers that
// hold one keep it until they are done with it.
func (t *Tape) drop(n int) (freed int64) {
	dir := *t.dir.Load()
	var gone []trail
	if old := t.trail.Load(); old != nil {
		gone = append(gone, *old...)
	}
	for _, c := range dir[:n] {
		freed += c.cost()
		if c.base != nil {
			gone = append(gone, trail{c.first, c.base})
		}
	}
	if len(gone) > 0 {
		gone = gone[max(0, len(gone)-maxTrail):]
		t.trail.Store(&gone)
	}
	kept := append([]*chunk(nil), dir[n:]...)
	t.dir.Store(&kept)
	t.cost -= freed
	if len(kept) == 0 {
		t.size = minChunk
	}
	return freed
}

// expired returns how many chunks at the tail are over the limits: too many bytes, or no frame
// younger than since. The newest chunk expires by age only, since a frame larger than the limit
// must still be sent.
func (t *Tape) expired(bytes, since int64) (n int) {
	left, dir := t.cost, *t.dir.Load()
	for i, c := range dir {
		if c.last >= since && (left <= bytes || i == len(dir)-1) {
			break
		}
		left -= c.cost()
		n++
	}
	return n
}

// find returns the index in dir of the chunk that holds frame number at. The number must not be
// below the tail.
func find(dir []*chunk, at uint64) int {
	// Nearly every reader is near the head.
	if last := len(dir) - 1; dir[last].first <= at {
		return last
	}
	return sort.Search(len(dir), func(i int) bool { return dir[i].first > at }) - 1
}

// before returns positions at or before those of frame number at, as known from dropped chunks, or
// nil if nothing is known.
func (t *Tape) before(at uint64) []Pos {
	gone := t.trail.Load()
	if gone == nil {
		return nil
	}
	i := sort.Search(len(*gone), func(i int) bool { return (*gone)[i].first > at }) - 1
	if i < 0 {
		return nil
	}
	return (*gone)[i].base
}
