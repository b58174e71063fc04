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
		s.expire(j, class)
	}
	kept := s.owned[:0]
	for _, r := range s.owned {
		s.expire(r.tape, r.Class())
		held := r.Class().keeps() && len(*r.tape.dir.Load()) > 0
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
			if r.private() && r.forgetRefs() && r.subs == nil {
				s.remove(r)
			}
		})
	}
}

func (s *shard) expire(t *Tape, c *Class) {
	if n := t.expired(c.retainBytes(), s.now-c.retainAge().Milliseconds()); n > 0 {
		s.table.used.Add(-t.drop(n))
	}
}

func (s *shard) remove(r *Room) {
	s.rooms.remove(r)
	if !r.private() {
		s.table.used.Add(-r.tape.cost)
	}
	r.pattern.count.Add(-1)
	s.stats.rooms.Add(-1)
}

// shed drops the shard's oldest chunks until the table is within its budget,
// or nothing of this shard is left. The other shards do the same.
func (s *shard) shed() {
	type old struct {
		t    *Tape
		last int64
	}
	var all []old
	tapes := func(t *Tape) {
		for _, c := range *t.dir.Load() {
			all = append(all, old{t, c.last})
		}
	}
	for _, r := range s.owned {
		tapes(r.tape)
	}
	for _, j := range s.journals {
		tapes(j)
	}
	// Which of a tape's chunks of one moment comes first is all the same: it is
	// the oldest that goes.
	slices.SortFunc(all, func(a, b old) int { return cmp.Compare(a.last, b.last) })
	enough := s.table.cfg.Budget / 16 * 15
	for _, o := range all {
		if s.table.used.Load() <= enough {
			return
		}
		s.table.used.Add(-o.t.drop(1))
		s.stats.shed.Add(1)
	}
}
