package rooms

import (
	"cmp"
	"slices"
	"time"
)

// sweepEvery is the time between two checks of retention, and so the slack of RetainAge.
const sweepEvery = 250 * time.Millisecond

// sweepSteps is the number of sweeps in which all private rooms are checked: 8 s.
const sweepSteps = 32

// left is called when the last member of a room has gone.
func (s *shard) left(r *Room) {
	if !r.private() {
		r.tape.left = s.now
	}
	s.vacant(r)
}

// sweep drops what is over the limits of retention.
func (s *shard) sweep() {
	for class, j := range s.journals {
		s.expire(nil, j, class)
	}
	kept := s.owned[:0]
	for _, r := range s.owned {
		s.expire(r, r.tape, r.Class())
		s.recode(r)
		if r.last != nil {
			s.age(r)
		}
		held := r.Class().keeps() && len(*r.tape.dir.Load()) > 0 || r.remembers()
		if r.subs != nil || held || s.now-r.tape.left < r.Class().retainAge().Milliseconds() {
			kept = append(kept, r)
			continue
		}
		s.remove(r)
	}
	clear(s.owned[len(kept):])
	s.owned = kept
	if s.table.overBudget() { // a shard without new records must give its share, too
		s.shed()
	}

	n := len(s.rooms.buckets)
	for k := 0; k <= n/sweepSteps; k++ {
		s.swept = (s.swept + 1) % n
		s.rooms.each(s.swept, func(r *Room) {
			if !r.private() {
				return
			}
			if r.last != nil {
				s.age(r)
			}
			if r.forgetRefs() && r.subs == nil && !r.remembers() {
				s.remove(r)
			}
		})
	}
	s.publish() // the keys that have been forgotten
	if s.table.overLast() {
		s.evicting.pressed++
		s.evict()
	} else if s.evicting.on {
		s.evict()
	} else {
		s.evicting.pressed = 0
	}
}

// remembers reports whether the room holds last values.
func (r *Room) remembers() bool { return r.last != nil && r.last.bytes > 0 }

// expire drops what is over the limits of the tape. The tape belongs to room r, or is a journal if
// r is nil.
func (s *shard) expire(r *Room, t *Tape, c *Class) {
	n := t.expired(c.retainBytes(), s.now-c.retainAge().Milliseconds())
	if r != nil && r.pattern.Keyframed {
		n = r.needed(n)
	}
	s.drop(r, t, n)
}

func (s *shard) drop(r *Room, t *Tape, n int) {
	if n == 0 {
		return
	}
	if r != nil {
		r.evacuate(n)
	}
	s.table.used.Add(-t.drop(n))
	t.others(func(z *coded) { z.forget(t.tail(t.next)) })
	if dir := *t.dir.Load(); len(dir) > 0 {
		t.reach = dir[0].after
	} else {
		t.reach = s.states()
	}
}

func (s *shard) remove(r *Room) {
	s.rooms.remove(r)
	s.vanish(r)
	s.passOverAll(r)
	if !r.private() {
		s.table.used.Add(-r.tape.cost)
		r.tape.others(func(z *coded) { s.table.used.Add(-z.cost) })
	}
	if r.last != nil {
		r.last.add(-int(r.last.bytes))
		s.leaveBehind(r)
		if r.last.went != nil {
			s.went[r.pattern] = r.last.went
		}
	}
	if r.chain.empty {
		s.settle(r)
	} else {
		r.pattern.count.Add(-1)
	}
	s.stats.rooms.Add(-1)
}

// freshFor is how long a frame is fresh. In that time a loop can send it many times over to members
// whose cursors are at the head.
const freshFor = time.Second

// shedAgain is the time until a shard that could not shed enough tries again.
const shedAgain = 100 * time.Millisecond

// sheddable is one chunk that could be dropped to free memory.
type sheddable struct {
	r    *Room // nil: a journal
	t    *Tape
	rank int
	last int64
}

// shed drops the shard's oldest chunks until the table is within its budget, or until this shard
// has no old chunk left. The other shards do the same. Fresh chunks may take as much memory again.
// Beyond that they are dropped too. Both are dropped in the order of Class.sacrifice.
func (s *shard) shed() {
	t := s.table
	far := t.used.Load() > 2*t.cfg.Budget
	if s.now < s.shedNext && !far {
		return
	}
	old, fresh := s.sheddable()
	if s.shedTo(old, t.cfg.Budget/16*15) {
		return
	}
	s.shedNext = s.now + shedAgain.Milliseconds()
	if t.used.Load() > 2*t.cfg.Budget {
		s.shedTo(fresh, 2*t.cfg.Budget/16*15)
	}
}

// sheddable returns the shard's chunks, the old and the fresh ones apart, each in the order in
// which they are dropped.
func (s *shard) sheddable() (old, fresh []sheddable) {
	tapes := func(r *Room, t *Tape, k *Class) {
		for _, c := range *t.dir.Load() {
			x := sheddable{r, t, k.sacrifice(), c.last}
			if s.now-c.last < freshFor.Milliseconds() {
				fresh = append(fresh, x)
			} else {
				old = append(old, x)
			}
		}
	}
	for _, r := range s.owned {
		tapes(r, r.tape, r.Class())
	}
	for class, j := range s.journals {
		tapes(nil, j, class)
	}
	// Chunks of one tape with the same time may be in any order: the oldest is dropped first.
	order := func(a, b sheddable) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.last, b.last)) }
	slices.SortFunc(old, order)
	slices.SortFunc(fresh, order)
	return old, fresh
}

// shedTo drops chunks in order until all tapes take no more than enough. It returns false if they
// still take more.
func (s *shard) shedTo(list []sheddable, enough int64) bool {
	for _, x := range list {
		if s.table.used.Load() <= enough {
			return true
		}
		s.drop(x.r, x.t, 1)
		s.stats.shed.Add(1)
	}
	return s.table.used.Load() <= enough
}
