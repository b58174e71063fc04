package rooms

import (
	"bytes"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

const (
	// tombstoneAge is how long a tombstone is kept at least, even if the tape drops it
	// sooner. A member that lags by more, or whose snapshot takes longer, gets a new
	// snapshot.
	tombstoneAge = time.Minute

	// fewKeys is the number of keys up to which a list is searched instead of a map: most
	// private rooms have a handful.
	fewKeys = 16

	// lastSize is the bytes that a key takes besides its name and the copy of its frame.
	lastSize = 160
)

// latest holds the newest frame of each key of one room, in the order of those
// updates. Only the appender changes it. Readers walk it as it was at some head.
//
// An update changes nothing that is there. It goes to the end of the order, and marks
// the key's previous frame with its own number. For a reader, a marked frame is the
// newest of its key until the reader's head is above the mark.
type latest struct {
	order     atomic.Pointer[order]
	forgotten atomic.Uint64 // cursors below this, except 0, may have missed a tombstone
	evicted   atomic.Uint64 // cursors below this may have missed a value that was evicted to free memory
	partial   atomic.Int64  // until when the room may lack such values, ms by the table's clock

	// The appender's own.
	few    []*lastFrame          // one of each key, while there are at most fewKeys
	byKey  map[string]*lastFrame // one of each key, once there are more
	graves []*lastFrame          // tombstones and notices, oldest first
	keys   int                   // how many have a value, not a tombstone
	first  int                   // no frame before this index of the order is the newest of its key
	bytes  int64                 // what copies and entries take
	used   *atomic.Int64         // bytes of all rooms of the table
	origin *feedState            // what had been read before the first frame; nil: not known
	lost   []Pos                 // by partition: up to here a tombstone may have been forgotten
	went   *feedState            // what had been read when a key last expired; nil: none has
	unsure *feedState            // what had been read when the newest forgotten expiry was written
}

// order is a run of frames by number. A superseded frame stays until the run is full
// and packed.
type order struct {
	frames []*lastFrame
	n      atomic.Int64 // how many of them are in use
}

// gone is a number that no frame has. A frame that is marked with it is the newest of
// its key for no reader.
const gone = 1<<64 - 1

type lastKind uint8

const (
	lastValue     lastKind = iota
	lastTombstone          // the key is gone
	lastNotice             // a reset or a gap: sent in order, like a key's frame
)

// lastFrame is a frame that is, or was, the newest of its key.
type lastFrame struct {
	num  uint64                 // its number in the room
	next atomic.Uint64          // number of the frame that superseded it, or gone; 0: it is the newest
	copy atomic.Pointer[[]byte] // made when the tape is about to drop the frame; at once in private rooms
	kind lastKind
	from source
	off  int64
	at   int64 // when it was written, ms
	key  string
	typ  string

	state *feedState // what had been read before; for tombstones and notices without an offset
}

func newLatest(used *atomic.Int64) *latest {
	l := &latest{used: used}
	l.order.Store(&order{})
	return l
}

// find returns the newest frame of the key, or nil if it has none.
func (l *latest) find(key []byte) *lastFrame {
	if l.byKey != nil {
		return l.byKey[string(key)]
	}
	for _, f := range l.few {
		if f.key == string(key) {
			return f
		}
	}
	return nil
}

// set makes f the newest frame of the key. published is the room's head: a frame that
// was superseded below it is the newest for no reader.
func (l *latest) set(key []byte, f *lastFrame, published uint64) {
	if old := l.find(key); old != nil {
		old.next.Store(f.num)
		f.key = old.key // one string for both
		l.uncount(old)
	} else {
		f.key = string(key)
	}
	l.put(f)
	l.append(f, published)
	if f.kind != lastValue {
		l.graves = append(l.graves, f)
	}
}

func (l *latest) put(f *lastFrame) {
	l.count(f)
	if l.byKey != nil {
		l.byKey[f.key] = f
		return
	}
	for i, other := range l.few {
		if other.key == f.key {
			l.few[i] = f
			return
		}
	}
	l.few = append(l.few, f)
	if len(l.few) <= fewKeys {
		return
	}
	l.byKey = make(map[string]*lastFrame, 2*len(l.few))
	for _, f := range l.few {
		l.byKey[f.key] = f
	}
	l.few = nil
}

// remove forgets the key of f.
func (l *latest) remove(f *lastFrame) {
	l.uncount(f)
	if l.byKey != nil {
		if delete(l.byKey, f.key); len(l.byKey) == 0 {
			l.byKey = nil
		}
		return
	}
	if i := slices.Index(l.few, f); i >= 0 {
		l.few = slices.Delete(l.few, i, i+1)
	}
}

func (l *latest) count(f *lastFrame)   { l.tally(f, 1) }
func (l *latest) uncount(f *lastFrame) { l.tally(f, -1) }

func (l *latest) tally(f *lastFrame, by int) {
	if f.kind == lastValue {
		l.keys += by
	}
	l.add(by * f.size())
}

// size returns the bytes that the frame takes: the entry, its key and the copy.
func (f *lastFrame) size() int {
	size := lastSize + len(f.key)
	if c := f.copy.Load(); c != nil {
		size += len(*c)
	}
	return size
}

func (l *latest) add(n int) {
	l.bytes += int64(n)
	l.used.Add(int64(n))
}

// own gives the entry a copy of its frame's bytes.
func (l *latest) own(f *lastFrame, frame []byte) {
	b := bytes.Clone(frame)
	f.copy.Store(&b)
	l.add(len(b))
}

func (l *latest) append(f *lastFrame, published uint64) {
	o := l.order.Load()
	n := int(o.n.Load())
	if n == len(o.frames) {
		o = l.pack(published)
		n = int(o.n.Load())
	}
	o.frames[n] = f
	o.n.Store(int64(n + 1))
}

// pack copies the order without the frames that are the newest for no reader, and with
// as much free space again.
func (l *latest) pack(published uint64) *order {
	old := l.order.Load()
	var live []*lastFrame
	for _, f := range old.frames[l.first:old.n.Load()] {
		if f.newestAt(published) || f.num >= published {
			live = append(live, f)
		}
	}
	fresh := &order{frames: make([]*lastFrame, 2*len(live)+2)}
	fresh.n.Store(int64(copy(fresh.frames, live)))
	l.first = 0
	l.order.Store(fresh)
	return fresh
}

// oldest returns the value that was updated longest ago, or nil if there is none.
func (l *latest) oldest(published uint64) *lastFrame {
	o := l.order.Load()
	n := int(o.n.Load())
	for ; l.first < n && o.frames[l.first].num < published && !o.frames[l.first].newestAt(published); l.first++ {
	}
	for _, f := range o.frames[l.first:n] {
		if f.kind == lastValue && f.next.Load() == 0 {
			return f
		}
	}
	return nil
}

// front returns the entry that was updated longest ago: a value, a tombstone or a notice.
// It returns nil if there is none.
func (l *latest) front(published uint64) *lastFrame {
	o := l.order.Load()
	n := int(o.n.Load())
	for ; l.first < n && o.frames[l.first].num < published; l.first++ {
		if f := o.frames[l.first]; f.newestAt(published) {
			return f
		}
	}
	return nil
}

// evict forgets a value to free memory. Members are not told that the key is gone, since it still
// exists. Members that were sent the value keep it. Others are told that the room is partial.
func (l *latest) evict(f *lastFrame) {
	l.remove(f)
	l.evicted.Store(f.num + 1)
	l.lose(f)
	f.next.Store(gone)
}

// buryTo forgets a tombstone or notice: the oldest that is left.
func (l *latest) buryTo(f *lastFrame) {
	l.graves = l.graves[slices.Index(l.graves, f)+1:]
	l.forget(f)
}

func (l *latest) forget(f *lastFrame) {
	l.remove(f)
	l.forgotten.Store(f.num + 1)
	l.lose(f)
	f.next.Store(gone)
}

// bury forgets the tombstones and notices that were written before since.
func (l *latest) bury(since int64) {
	n := 0
	for _, f := range l.graves {
		if f.at >= since {
			break
		}
		if n++; f.next.Load() == 0 {
			l.forget(f)
		}
	}
	l.graves = slices.Delete(l.graves, 0, n)
}

// lose notes the position of a frame that is forgotten.
func (l *latest) lose(f *lastFrame) {
	raise := func(part int32, off int64) {
		if p := posOf(l.lost, part); p != nil {
			p.Offset = max(p.Offset, off)
		} else {
			l.lost = append(l.lost, Pos{part, off})
		}
	}
	if f.from.record() {
		raise(f.from.partition(), f.off)
		return
	}
	if f.from == sourceExpired {
		l.unsure = f.state
		return
	}
	if f.state != nil {
		for part, off := range f.state.off {
			raise(int32(part), off)
		}
	}
}

// beyond reports whether a client with the positions in have has seen a record that came
// after the state since. With exactly the state's positions it may have been there before
// that state or after it.
func beyond(have []Pos, since *feedState) bool {
	further := since == nil
	for _, p := range have {
		if since != nil && int(p.Partition) < len(since.off) {
			if p.Offset < since.off[p.Partition] {
				return false
			}
			further = further || p.Offset > since.off[p.Partition]
		}
	}
	return further
}

// end marks the newest frame of every key as superseded by frame num, or with gone, and
// forgets all keys.
func (l *latest) end(num uint64) {
	o := l.order.Load()
	for _, f := range o.frames[l.first:o.n.Load()] {
		if f.next.Load() == 0 {
			f.next.Store(num)
			l.uncount(f)
		}
	}
	l.few, l.byKey, l.graves = nil, nil, nil
	l.lost, l.went, l.unsure = nil, nil, nil
	l.partial.Store(0)
}

// from returns the index of the first frame whose number is at least at.
func (o *order) from(at uint64, n int) int {
	return sort.Search(n, func(i int) bool { return o.frames[i].num >= at })
}

// newestAt reports whether the frame is the newest of its key below head.
func (f *lastFrame) newestAt(head uint64) bool {
	next := f.next.Load()
	return f.num < head && (next == 0 || next >= head) && next != gone
}
