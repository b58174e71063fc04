package rooms

import (
	"hash/maphash"
	"sync/atomic"

	"tapecast/rooms/wire"
)

// Room is a named stream. Its shard's appender writes it. Any goroutine may read the name, the
// class, and the frames below the published head.
//
// A node has hundreds of thousands of quiet private rooms, so the struct is kept within 112 bytes
// (TestSizes).
type Room struct {
	name    string
	pattern *Pattern
	tape    *Tape // its own; a private room's is the journal it shares

	head atomic.Uint64        // frames published
	refs atomic.Pointer[refs] // private rooms only
	last *latest              // the newest frame of each key; nil: the class does not keep them

	keyframe atomic.Uint64 // number of the newest keyframe, and 1; 0: there was none

	// The appender's own.
	after *Room  // next in the bucket of the shard's index
	subs  *Sub   // one for each listener that has members
	next  uint64 // number of the next frame
	chain chain
}

// Name returns the room's name.
func (r *Room) Name() string { return r.name }

// Pattern returns the pattern that the name matched.
func (r *Room) Pattern() *Pattern { return r.pattern }

// Class returns the room's policies.
func (r *Room) Class() *Class { return r.pattern.Class }

// Head returns the number of the next frame. A member whose cursor is there lacks nothing.
func (r *Room) Head() uint64 { return r.head.Load() }

// Tail returns the number of the first frame that is left.
func (r *Room) Tail() uint64 {
	head := r.head.Load()
	if !r.private() {
		return r.tape.tail(head)
	}
	list := r.refs.Load()
	if list == nil {
		return head
	}
	tail := r.tape.tailNow()
	at := list.first
	for at < head && list.nums[at-list.first] < tail {
		at++
	}
	return at
}

func (r *Room) private() bool { return r.pattern.Class.Private() }

// tailNow returns the number of the oldest frame. It is for the appender and for readers of a
// journal.
func (t *Tape) tailNow() uint64 {
	if dir := *t.dir.Load(); len(dir) > 0 {
		return dir[0].first
	}
	return t.head.Load()
}

// write appends one frame of payload a followed by b followed by c, with Kafka's
// timestamp ts (0: none). It returns the frame, and what the tape has grown by.
func (r *Room) write(op byte, a, b, c []byte, from source, off, ts, now int64) (frame []byte, cost int64) {
	n := len(a) + len(b) + len(c)
	size := wire.HeaderSize(n) + n
	t := r.tape
	ch, cost := t.grow(size, r.Class(), now, r.base)
	buf := wire.AppendHeader(ch.buf[ch.used:ch.used:len(ch.buf)], op, n)
	buf = append(buf, a...)
	buf = append(buf, b...)
	buf = append(buf, c...)
	num := t.next
	t.put(ch, size, from, off, ts, now)
	for how := Deflated; how < codings; how++ {
		if z := t.coded[how].Load(); z != nil {
			z.write(buf, r.Class(), ts, now)
		}
	}
	if r.private() {
		r.addRef(num)
	} else {
		r.next = t.next
	}
	return buf, cost
}

// base returns the positions before the next frame. A journal keeps none: its members are closed
// when they lag, and never skip.
func (r *Room) base() []Pos {
	if r.private() {
		return nil
	}
	return r.chain.all()
}

// publish lets readers see what was written.
func (r *Room) publish() {
	if r.private() {
		r.tape.head.Store(r.tape.next)
	} else {
		r.tape.head.Store(r.next)
	}
	r.tape.others(func(z *coded) { z.head.Store(z.next) })
	r.head.Store(r.next)
}

// index finds a shard's rooms by name. Buckets are linked through the rooms themselves. That takes
// 8 to 16 bytes a room, where a map of strings takes about 40.
type index struct {
	seed    maphash.Seed
	buckets []*Room
	n       int
}

func newIndex() index {
	return index{seed: maphash.MakeSeed(), buckets: make([]*Room, 16)}
}

func (x *index) bucket(hash uint64) **Room { return &x.buckets[hash&uint64(len(x.buckets)-1)] }

func (x *index) find(name []byte) *Room {
	r := *x.bucket(maphash.Bytes(x.seed, name))
	for r != nil && r.name != string(name) {
		r = r.after
	}
	return r
}

func (x *index) findString(name string) *Room {
	r := *x.bucket(maphash.String(x.seed, name))
	for r != nil && r.name != name {
		r = r.after
	}
	return r
}

func (x *index) add(r *Room) {
	if x.n == len(x.buckets) {
		x.grow()
	}
	b := x.bucket(maphash.String(x.seed, r.name))
	r.after, *b = *b, r
	x.n++
}

func (x *index) remove(r *Room) {
	for at := x.bucket(maphash.String(x.seed, r.name)); *at != nil; at = &(*at).after {
		if *at == r {
			*at, r.after = r.after, nil
			x.n--
			return
		}
	}
	panic("BUG: " + r.name + " is not in the index")
}

func (x *index) grow() {
	old := x.buckets
	x.buckets = make([]*Room, 2*len(old))
	for _, r := range old {
		for r != nil {
			next := r.after
			b := x.bucket(maphash.String(x.seed, r.name))
			r.after, *b = *b, r
			r = next
		}
	}
}

// each calls visit for the rooms of one bucket. visit may remove the room that it is given.
func (x *index) each(bucket int, visit func(*Room)) {
	for r := x.buckets[bucket]; r != nil; {
		next := r.after
		visit(r)
		r = next
	}
}
