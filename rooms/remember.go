package rooms

import (
	"strconv"

	"tapecast/rooms/wire"
)

// remember makes the record's frame the newest of its key.
func (s *shard) remember(r *Room, p *part, it *item, num uint64, frame []byte) {
	f := &lastFrame{num: num, from: source(it.part), off: it.off, at: s.now, typ: it.typ}
	if it.value == nil {
		f.kind = lastTombstone
	}
	s.remembered(r, p.text(it.key), f, frame)
	if r.pattern.Bare && r.last.partial.Load() != 0 {
		r.last.partial.Store(0) // the room has only this value
	}
	if r.last.keys > r.Class().maxKeys() {
		s.stats.evicted.Add(1)
		s.forgetKey(r, r.last.oldest(r.head.Load()))
	}
}

func (s *shard) remembered(r *Room, key []byte, f *lastFrame, frame []byte) {
	r.last.set(key, f, r.head.Load())
	if r.private() { // the journal does not know to which room a frame belongs
		r.last.own(f, frame)
	}
}

// appendNoticeKey appends a key for a notice. No record can have it, since it begins with a byte
// that is not UTF-8.
func appendNoticeKey(dst []byte, num uint64) []byte {
	return strconv.AppendUint(append(dst, "\xff\xfetapecast"...), num, 10)
}

// forgetKey tells the room's members that a key is gone, although its topic has no tombstone for
// it. The key had no update for too long, or the room has too many keys.
func (s *shard) forgetKey(r *Room, f *lastFrame) {
	if r.pattern.Bare { // its value has no key
		return
	}
	s.touch(r)
	num := r.next
	s.scratch = wire.AppendExpired(s.scratch[:0], r.name, f.typ, f.key)
	frame, cost := r.write(wire.OpText, s.scratch, nil, nil, sourceExpired, 0, 0, s.now)
	s.grown(r, cost)
	r.last.went = s.state(r.pattern.Feed)
	expired := &lastFrame{num: num, kind: lastTombstone, from: sourceExpired, at: s.now, typ: f.typ, state: r.last.went}
	s.remembered(r, []byte(f.key), expired, frame)
}

// age forgets keys without an update for too long, and tombstones that every member has been sent.
func (s *shard) age(r *Room) {
	l, k, head := r.last, r.Class(), r.head.Load()
	for f := l.oldest(head); f != nil && s.now-f.at > k.keyTTL().Milliseconds() && !r.pattern.Bare; f = l.oldest(head) {
		s.stats.expired.Add(1)
		s.forgetKey(r, f)
	}
	l.bury(s.now - max(k.retainAge(), tombstoneAge).Milliseconds())
}

// evacuate copies the newest frames of keys out of the n oldest chunks. Without it a quiet key
// would keep a whole chunk in memory.
func (r *Room) evacuate(n int) {
	if r.last == nil || r.private() || n == 0 {
		return
	}
	dir := *r.tape.dir.Load()
	end := dir[n-1].first + uint64(dir[n-1].n)
	o := r.last.order.Load()
	count := int(o.n.Load())
	head := r.head.Load()
	for _, f := range o.frames[o.from(dir[0].first, count):count] {
		if f.num >= end {
			return
		}
		if !f.newestAt(head) {
			continue
		}
		c := dir[find(dir, f.num)]
		i := int(f.num - c.first)
		r.last.own(f, c.buf[c.start(i):c.at[i].end])
	}
}
