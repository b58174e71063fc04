package member

import (
	"container/heap"
	"time"

	"tapecast/rooms"
)

// Extra is state that few members need: a snapshot under way, a key filter, positions that the
// client already has, a rate. Most of those need it only for a moment.
type Extra struct {
	client Client
	sub    *rooms.Sub
	filter rooms.Filter
	epoch  string // of filter.Have and upTo

	past   *rooms.Past // frames that were read again, to be sent first; nil: none
	pastAt int
	// upTo is how far the past goes, up to the frame with number seam. Nil: the tape has taken
	// over.
	upTo    []rooms.Pos
	seam    uint64
	last    []rooms.Pos   // the room's last messages up to upTo, where they are known
	more    bool          // there is more between upTo and seam, which must be asked for
	waiting bool          // it waits for another seam
	recall  *rooms.Recall // the answer that it then waits for; nil: an appender's
	retry   time.Duration // when it may ask again

	await bool // it waits for the next keyframe

	found    *rooms.Member // a room that the client has yet to be told of; nil: it knows the room
	wildcard string        // the wildcard that joined it
	missed   *Gap          // a gap that the client has yet to be told of; nil: none

	walk  walk
	begin bool // snapshot_begin must be told before the walk's first frame
	known rooms.Known
	sent  int64  // bytes of the walk that are not counted yet
	level bool   // the walk has been cut to its end
	end   uint64 // the cursor at which it is then level with the room

	every time.Duration // between two sends; 0: at once
	due   time.Duration // of the next send
	index int           // in Rules.delays, from 1; 0: not in it

	// unplaced: the client was told no positions when it joined, since the topic was not known yet, and
	// wants to be told once it is. Without an epoch it could not resume.
	unplaced bool

	skipped uint64        // frames that were superseded before they were sent
	told    time.Duration // when the client was last told of them
}

// walk means that a member gets the newest frame of each key instead of every frame.
type walk uint8

const (
	walkNone     walk = iota
	walkSnapshot      // from the beginning, between snapshot_begin and snapshot_end
	walkOn            // from its cursor, because it lags
	walkResume        // from the beginning, without what the client has
)

// Gap is what lies between where a client was and where it joined, and is lost.
type Gap struct{ From, To rooms.Positions }

// Wish is what a new member gets besides the live frames.
type Wish struct {
	Snapshot bool          // the newest frame of each key first
	Keys     []string      // the wanted keys; nil: all
	Every    time.Duration // the least time between two sends; 0: at once
	Await    bool          // nothing before the next keyframe
	Unplaced bool          // its client was told no positions, and is to be told once they are known

	Resume *rooms.Resume // how it continues from where its client was; nil: it starts now
	Epoch  string        // of Resume
	Past   *rooms.Past   // frames that were read again for it; nil: none
	Missed *Gap          // the gap that the client must be told of; nil: none

	Found    *rooms.Member // a room that the client must be told of; nil: it knows the room
	Wildcard string        // the wildcard that joined it
}

// Begin gives a new member what its Wish asks for, and returns its Extra, or nil if it needs none.
func (r *Rules) Begin(m *Member, c Client, w *Wish) *Extra {
	s := step{Rules: r, m: m, c: c}
	if w.Keys != nil {
		s.needs().filter.SetKeys(w.Keys)
	}
	if w.Await {
		s.needs().await = true
	}
	if w.Every > 0 {
		s.needs().every = w.Every
	}
	if w.Unplaced && c.Places() {
		s.needs().unplaced = true
	}
	if w.Missed != nil {
		s.needs().missed = w.Missed
	}
	if how := w.Resume; how != nil && (m.at < how.Until || how.Ahead || how.Walk || w.Past != nil) {
		x := s.needs()
		x.filter.Resumed(how)
		x.seam, x.epoch = m.at, w.Epoch
		if how.Walk {
			x.walk, x.known = walkResume, how.Known
		} else {
			x.beginPast(w.Past, how.UpTo)
		}
	}
	if w.Snapshot {
		s.needs()
		s.beginSnapshot()
	}
	if w.Found != nil {
		x := s.needs()
		x.found, x.wildcard = w.Found, w.Wildcard
	}
	return s.x
}

// End releases what the Extra of a member holds when the membership ends. The Extra may be nil.
func (r *Rules) End(x *Extra) {
	if x == nil {
		return
	}
	if x.index > 0 {
		heap.Remove(&r.delays, x.index-1)
	}
	x.past.Release()
	if x.recall != nil {
		x.recall.Drop()
	}
	x.countWalk()
}

// Keys returns the wanted keys, sorted, or nil if the member gets all.
func (x *Extra) Keys() []string { return x.filter.Keys() }

// Every returns the least time between two sends, or 0.
func (x *Extra) Every() time.Duration { return x.every }

// Chain reports whether every break in the chain of `prev` is a loss: the member gets each message,
// or a notice. x is its Extra.
func (m *Member) Chain(x *Extra) bool {
	return !m.Room().Class().Conflate && (x == nil || !x.filter.Keyed() && x.every == 0)
}

// Late reports whether the member gets old frames because it asked for them: a snapshot, what came
// after a position, or a rate. A member that is conflated because it lags is not late.
func (x *Extra) Late() bool {
	return x.every > 0 || x.walk == walkSnapshot || x.walk == walkResume || x.filter.Have != nil || x.upTo != nil
}

// Walks reports whether the member gets the newest frame of each key instead of every frame.
func (x *Extra) Walks() bool { return x.walk != walkNone }

// Untold reports whether the client has yet to be told that the room was joined.
func (x *Extra) Untold() bool { return x.found != nil }

// Missing reports whether the client has yet to be told of a gap.
func (x *Extra) Missing() bool { return x.missed != nil }

// Lacks reports whether the client may lack something from before the cursor.
func (x *Extra) Lacks() bool {
	return x.walk == walkSnapshot || x.await || x.past != nil || x.more || x.waiting || x.missed != nil
}

// Position returns the positions up to which the client has the room. They are empty in the middle
// of a snapshot or a past.
func (r *Rules) Position(m *Member, x *Extra) rooms.Positions {
	if x != nil && x.missed != nil {
		return x.missed.From // the client does not know of the gap yet
	}
	if x != nil && (x.found != nil || x.walk == walkSnapshot || x.past != nil || x.more || x.waiting) {
		return rooms.Positions{}
	}
	return r.reached(m, x)
}

// Mark is Position, and known within a past too. It looks at each frame of the past that was sent.
func (r *Rules) Mark(m *Member, x *Extra) rooms.Positions {
	if x == nil || x.past == nil || x.missed != nil || x.found != nil {
		return r.Position(m, x)
	}
	return rooms.Positions{Epoch: x.epoch, Offsets: x.past.Reached(x.pastAt, &x.filter, x.upTo)}
}

// reached returns the positions of the cursor.
func (r *Rules) reached(m *Member, x *Extra) rooms.Positions {
	at := r.Table.PositionsAt(m.Room(), m.at)
	if x != nil && x.filter.Have != nil {
		at = at.Raised(x.epoch, x.filter.Have)
	}
	return at
}

// countEvery is after how many bytes of a walk they are counted.
const countEvery = 256 << 10

// walked notes that n bytes of a walk were sent.
func (x *Extra) walked(n int) {
	if x.sent += int64(n); x.sent >= countEvery {
		x.countWalk()
	}
}

// countWalk counts the bytes that are not counted yet.
func (x *Extra) countWalk() {
	if x.sent > 0 {
		x.client.Walked(x.sub.Room(), x.sent)
	}
	x.sent = 0
}

// delays holds the members that must be sent nothing before their time, the next one first. The
// loop's wheel is too coarse: its ticks are half of the time between two sends at ten a second.
type delays []*Extra

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delays) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i+1, j+1
}

// Push is for package heap.
func (d *delays) Push(v any) {
	x := v.(*Extra)
	*d = append(*d, x)
	x.index = len(*d)
}

// Pop is for package heap.
func (d *delays) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	x.index, (*d)[last] = 0, nil
	*d = (*d)[:last]
	return x
}

// delay makes WakeDue wake the client when the member is due.
func (r *Rules) delay(x *Extra) {
	if x.index > 0 {
		heap.Fix(&r.delays, x.index-1)
		return
	}
	heap.Push(&r.delays, x)
}

// tooSoon reports whether the member may not be sent anything yet. If so, it makes WakeDue wake the
// client in time.
func (r *Rules) tooSoon(x *Extra) bool {
	if x.every == 0 || x.walk == walkSnapshot || x.walk == walkResume || r.Now() >= x.due {
		return false
	}
	if x.index == 0 {
		r.delay(x)
	}
	return true
}

// WakeDue wakes the clients of members that are due.
func (r *Rules) WakeDue() {
	if len(r.delays) == 0 {
		return
	}
	for now := r.Now(); len(r.delays) > 0 && r.delays[0].due <= now; {
		heap.Pop(&r.delays).(*Extra).client.Wake()
	}
}

// UntilDue returns how long it takes until a member is due. ok is false if no member waits.
func (r *Rules) UntilDue(now time.Duration) (left time.Duration, ok bool) {
	if len(r.delays) == 0 {
		return 0, false
	}
	return max(0, r.delays[0].due-now), true
}
