package member

import (
	"container/heap"
	"time"

	"tapecast/rooms"
)

// Extra is state that few members need: a snapshot under way, a key filter, positions that the
// client has already, a rate. Most of those need it for a moment.
type Extra struct {
	client Client
	sub    *rooms.Sub
	filter rooms.Filter
	epoch  string // of filter.Have and upTo

	past   *rooms.Past // what was read again, to be sent first; nil: nothing
	pastAt int
	// upTo is how far the past goes, which is to the frame with number seam; nil:
	// the tape has taken over.
	upTo    []rooms.Pos
	seam    uint64
	last    []rooms.Pos   // the room's last messages up to upTo, where they are known
	more    bool          // between upTo and seam there is more, to be asked for
	waiting bool          // for another seam
	recall  *rooms.Recall // what it waits for then; nil: an appender
	retry   time.Duration // when it may ask again

	await bool // the next keyframe

	found    *rooms.Member // the client has yet to be told of its room; nil: it knows
	wildcard string      // that found it
	missed   *Gap        // the client has yet to be told of it; nil: it knows, or there is nothing

	walk  walk
	begin bool // snapshot_begin is to be said before the walk's first frame
	known rooms.Known
	sent  int64  // by the walk, and not counted yet
	level bool   // the walk has come to
	end   uint64 // where it is level with the room

	every time.Duration // between two sends; 0: at once
	due   time.Duration // of the next send
	index int           // in Rules.delays, from 1; 0: it is not there

	skipped uint64        // frames that were superseded before they were sent
	told    time.Duration // when the client last heard of them
}

// walk says that a member gets the newest frame of each key instead of all.
type walk uint8

const (
	walkNone     walk = iota
	walkSnapshot      // from the beginning, between snapshot_begin and snapshot_end
	walkOn            // from its cursor, because it lags
	walkResume        // from the beginning, without what its client has
)

// Gap is what lies between where a client was and where it joined, and cannot be had.
type Gap struct{ From, To rooms.Positions }

// Wish is what a new member is to have beyond the live frames.
type Wish struct {
	Snapshot bool          // the newest frame of each key first
	Keys     []string      // the only ones wanted; nil: all
	Every    time.Duration // the least time between two sends; 0: at once
	Await    bool          // nothing before the next keyframe

	Resume *rooms.Resume // how it goes on from where its client was; nil: it begins now
	Epoch  string        // of Resume
	Past   *rooms.Past   // what was read again for it; nil: nothing
	Missed *Gap          // what the client is to be told that it has missed; nil: nothing

	Found    *rooms.Member // the client is to be told that the room was joined; nil: it knows
	Wildcard string      // by which
}

// Begin gives a new member what it is to have beyond the live frames, and returns its Extra;
// nil: it needs none.
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

// End lets go of what the Extra of a member holds that is given up; nil: nothing.
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

// Keys are the only ones that the member gets, sorted; nil: all.
func (x *Extra) Keys() []string { return x.filter.Keys() }

// Every is the least time between two sends; 0: there is none.
func (x *Extra) Every() time.Duration { return x.every }

// Chain reports whether every break of the chain of `prev` is a loss: the member gets each
// message, or a notice. x is its Extra.
func (m *Member) Chain(x *Extra) bool {
	return !m.Room().Class().Conflate && (x == nil || !x.filter.Keyed() && x.every == 0)
}

// Late reports whether what the member gets is older by its own wish: a snapshot, what came
// after a position, or at a rate. A member that is conflated because it lags is not late.
func (x *Extra) Late() bool {
	return x.every > 0 || x.walk == walkSnapshot || x.walk == walkResume || x.filter.Have != nil || x.upTo != nil
}

// Walks reports whether the member gets the newest frame of each key, instead of all.
func (x *Extra) Walks() bool { return x.walk != walkNone }

// Untold reports whether the client has yet to hear that the room was joined.
func (x *Extra) Untold() bool { return x.found != nil }

// Missing reports whether the client has yet to hear of a gap.
func (x *Extra) Missing() bool { return x.missed != nil }

// Lacks reports whether the client may lack something from before the cursor.
func (x *Extra) Lacks() bool {
	return x.walk == walkSnapshot || x.await || x.past != nil || x.more || x.waiting || x.missed != nil
}

// Position is up to where the client has its room; none in the middle of a snapshot, or of what
// was read again.
func (r *Rules) Position(m *Member, x *Extra) rooms.Positions {
	if x != nil && x.missed != nil {
		return x.missed.From // it does not know of the rest
	}
	if x != nil && (x.found != nil || x.walk == walkSnapshot || x.past != nil || x.more || x.waiting) {
		return rooms.Positions{}
	}
	return r.Reached(m, x)
}

// Reached is the position of the cursor.
func (r *Rules) Reached(m *Member, x *Extra) rooms.Positions {
	at := r.Table.PositionsAt(m.Room(), m.at)
	if x != nil && x.filter.Have != nil {
		at = at.Raised(x.epoch, x.filter.Have)
	}
	return at
}

// countEvery is after how many bytes of a walk they are counted.
const countEvery = 256 << 10

// walked notes n bytes that a walk was sent.
func (x *Extra) walked(n int) {
	if x.sent += int64(n); x.sent >= countEvery {
		x.countWalk()
	}
}

// countWalk tells of the bytes that were not told of yet.
func (x *Extra) countWalk() {
	if x.sent > 0 {
		x.client.Walked(x.sub.Room(), x.sent)
	}
	x.sent = 0
}
