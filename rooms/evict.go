package rooms

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// evictWork is how many keys and buckets one call of evict looks at: about 0.5 ms.
	evictWork = 4096

	// evictSample is the number of keys from which the age is chosen at which keys must go.
	evictSample = 4096

	// fullFor is how long an eviction counts as trouble.
	fullFor = time.Minute
)

// eviction is the state of a shard's round over its rooms, in which the oldest last values are
// forgotten.
type eviction struct {
	on      bool  // from the moment the budget is reached until there is some space again
	next    int64 // when to look again after there was nothing to evict, ms by the table's clock
	cut     int64 // keys that were written before this are forgotten, ms by the table's clock
	members bool  // also keys of rooms with members
	left    int   // buckets until the round is over
	at      int   // the bucket that was looked at last
	pressed int   // sweeps in a row that found the table over its budget
}

func (t *Table) overLast() bool { return t.usedLast.Load() > t.cfg.LastBudget }

// lastEnough is how far below their budget last values are brought down.
func (t *Table) lastEnough() int64 { return t.cfg.LastBudget / 8 * 7 }

// evict forgets the oldest last values until the table is well within its budget. Rooms without
// members lose theirs first. Rooms with members follow only when the other shards have had time to
// give theirs, or when the table is far over its budget. A call looks at a bounded number of keys
// and the next call continues, since the appender has other work. Everything must be published.
func (s *shard) evict() {
	e, t := &s.evicting, s.table
	e.on = true
	// It must keep up with the values that arrive between two calls.
	over := t.usedLast.Load() - t.cfg.LastBudget
	work := evictWork * (1 + int(max(0, over/max(t.cfg.LastBudget/16, 1))))
	for work > 0 {
		if t.usedLast.Load() <= t.lastEnough() {
			*e = eviction{at: e.at}
			return
		}
		if e.left <= 0 {
			if !s.chooseCut() {
				e.on, e.next = false, s.now+sweepEvery.Milliseconds()
				return
			}
		}
		e.left--
		e.at = (e.at + 1) % len(s.rooms.buckets)
		work--
		s.rooms.each(e.at, func(r *Room) {
			if r.last != nil && (r.subs == nil || e.members) {
				work -= s.evictFrom(r)
			}
		})
	}
}

// aged is one key of a sample.
type aged struct{ at, size int64 }

// chooseCut begins a round. From a sample it chooses the age at which keys must go, so that
// this shard gives its share. It returns false if no key may go now.
func (s *shard) chooseCut() bool {
	e, t := &s.evicting, s.table
	sample, seen := s.sampleKeys(false)
	if e.members = len(sample) == 0; e.members {
		far := t.usedLast.Load() > t.cfg.LastBudget/16*17
		if !far && e.pressed < 2 {
			return false
		}
		sample, seen = s.sampleKeys(true)
	}
	if len(sample) == 0 {
		return false
	}
	share := (t.usedLast.Load() - t.lastEnough()) / int64(len(t.shards))
	// What the sample must give of it.
	need := float64(share) * float64(seen) / float64(len(s.rooms.buckets))
	slices.SortFunc(sample, func(a, b aged) int { return cmp.Compare(a.at, b.at) })
	got := 0.0
	for _, k := range sample {
		e.cut = k.at + 1
		if got += float64(k.size); got >= need {
			break
		}
	}
	e.left = len(s.rooms.buckets)
	return true
}

// sampleKeys looks at buckets from a random one on until it has seen enough keys of
// rooms without members, or with them. seen is how many buckets those are.
func (s *shard) sampleKeys(members bool) (sample []aged, seen int) {
	n := len(s.rooms.buckets)
	for at := rand.IntN(n); seen < n && len(sample) < evictSample && seen < 4*evictSample; seen++ {
		s.rooms.each((at+seen)%n, func(r *Room) {
			if r.last == nil || (r.subs != nil) != members {
				return
			}
			o := r.last.order.Load()
			for _, f := range o.frames[r.last.first:o.n.Load()] {
				if f.next.Load() == 0 {
					sample = append(sample, aged{f.at, int64(f.size())})
				}
			}
		})
	}
	return sample, seen
}

// evictFrom forgets the room's keys that are older than the round's age, oldest first, and
// returns how many.
func (s *shard) evictFrom(r *Room) (n int) {
	l, head, t := r.last, r.head.Load(), s.table
	until := l.partial.Load()
	for f := l.front(head); f != nil && f.at < s.evicting.cut && t.usedLast.Load() > t.lastEnough(); f = l.front(head) {
		n++
		if f.kind != lastValue {
			l.buryTo(f)
			continue
		}
		l.evict(f)
		s.stats.outOfMemory.Add(1)
		if r.pattern.Bare {
			until = math.MaxInt64 // until its next value, which is all it has
		} else {
			until = max(until, f.at+r.Class().keyTTL().Milliseconds())
		}
	}
	if n > 0 {
		l.partial.Store(until)
		l.pack(head) // evicted frames must not stay in memory
		t.fullUntil.Store(s.now + fullFor.Milliseconds())
	}
	return n
}

// Partial reports whether the room may lack last values because there was no memory for
// them. It is true from the first eviction until the last evicted key would have reached
// its class's key_ttl, or the topic is made again. A room that is removed meanwhile hands
// this on to rooms that its shard makes for the same pattern. Any goroutine may ask.
func (t *Table) Partial(r *Room) bool { return r.last != nil && r.last.partial.Load() > t.clock() }

// partialFrom gives a new room the partial state that removed rooms of the pattern left.
func (s *shard) partialFrom(p *Pattern, l *latest) {
	if until, ok := s.partial[p]; ok {
		if until <= s.now {
			delete(s.partial, p)
			return
		}
		l.partial.Store(until)
	}
}

// leaveBehind keeps the partial state of a room that is being removed, for partialFrom.
func (s *shard) leaveBehind(r *Room) {
	if until := r.last.partial.Load(); until > s.now && until > s.partial[r.pattern] {
		s.partial[r.pattern] = until
	}
}
