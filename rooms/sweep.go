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

// sweep lets go of what retention no longer covers.
func (s *shard) sweep() {
	for class, j := range s.journals {
		s.expire(nil, j, class)
	}
	kept := s.owned[:0]
	for _, r := range s.owned {
		s.expire(r, r.tape, r.Class())
		if r.Class().Deflate {
			s.deflating(r.tape)
		}
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
	if s.table.overBudget() { // a shard that gets no records gives its share, too
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

// remembers reports whether the room still holds a key's newest frame.
func (r *Room) remembers() bool { return r.last != nil && r.last.bytes > 0 }

// expire drops what is over the limits of the tape, which is room r's or, with
// no room, a journal.
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
	if z := t.deflated.Load(); z != nil {
		z.forget(t.tail(t.next))
	}
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
		if z := r.tape.deflated.Load(); z != nil {
			s.table.used.Add(-z.cost)
		}
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

// freshFor is how long a frame is fresh: time for loops to send it to members that keep
// up, whose cursors are at the head, many times over.
const freshFor = time.Second

// shedAgain is when a shard that could not shed enough looks again.
const shedAgain = 100 * time.Millisecond

// sheddable is one chunk that could be dropped for want of memory.
type sheddable struct {
	r    *Room // nil: a journal
	t    *Tape
	rank int
	last int64
}

// shed drops the shard's oldest chunks until the table is within its budget, or this shard
// has no old chunk left. The other shards do the same. Fresh chunks may take as much again.
// Beyond that they go too. Both go in the order of sacrifice.
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

// sheddable lists the shard's chunks, with the fresh ones apart, each in the order in which
// they go.
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
	// The order among a tape's chunks of one moment does not matter: the oldest goes first.
	order := func(a, b sheddable) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.last, b.last)) }
	slices.SortFunc(old, order)
	slices.SortFunc(fresh, order)
	return old, fresh
}

// shedTo drops chunks in turn until all tapes take no more than enough. It returns false if
// they still take more.
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
