package rooms

import (
	"cmp"
	"slices"
	"time"
)

// sweepEvery is how often retention is looked at: the slack of RetainAge.
const sweepEvery = 250 * time.Millisecond

// sweepSteps is in how many sweeps all private rooms are looked at: 8 s.
const sweepSteps = 32

// left is called when the last member of a room has gone.
func (s *shard) left(r *Room) {
	if !r.private() {
		r.tape.left = s.now
	}
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
}

// remembers says whether the room still holds a key's newest frame.
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
	if !r.private() {
		s.table.used.Add(-r.tape.cost)
		if z := r.tape.deflated.Load(); z != nil {
			s.table.used.Add(-z.cost)
		}
	}
	if r.last != nil {
		r.last.add(-int(r.last.bytes))
		if r.last.went != nil {
			s.went[r.pattern] = r.last.went
		}
	}
	r.pattern.count.Add(-1)
	s.stats.rooms.Add(-1)
}

// shed drops the shard's oldest chunks until the table is within its budget,
// or nothing of this shard is left. The other shards do the same.
func (s *shard) shed() {
	type old struct {
		r    *Room // nil: a journal
		t    *Tape
		last int64
	}
	var all []old
	tapes := func(r *Room, t *Tape) {
		for _, c := range *t.dir.Load() {
			all = append(all, old{r, t, c.last})
		}
	}
	for _, r := range s.owned {
		tapes(r, r.tape)
	}
	for _, j := range s.journals {
		tapes(nil, j)
	}
	// Which of a tape's chunks of one moment comes first is all the same: it is
	// the oldest that goes.
	slices.SortFunc(all, func(a, b old) int { return cmp.Compare(a.last, b.last) })
	enough := s.table.cfg.Budget / 16 * 15
	for _, o := range all {
		if s.table.used.Load()+s.table.usedLast.Load() <= enough {
			return
		}
		s.drop(o.r, o.t, 1)
		s.stats.shed.Add(1)
	}
}
