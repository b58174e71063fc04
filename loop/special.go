package loop

import (
	"container/heap"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// conflatedEvery is how often a member that is conflated hears of it at most.
const conflatedEvery = time.Second

// special is what a seat has that an ordinary one has not: a snapshot under
// way, keys that it wants, offsets that its client has already, a rate. Few
// seats have one, and most of those for a moment.
type special struct {
	conn  *Conn
	sub   *rooms.Sub
	sift  rooms.Sift
	epoch string // of sift.Have and upTo

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
	retry   time.Duration // when it may ask again, by the engine's clock

	await bool // the next keyframe

	found  *rooms.Seat // the client has yet to be told of its room; nil: it knows
	missed *missed     // the client has yet to be told of it; nil: it knows, or there is nothing

	walk  walk
	begin bool // snapshot_begin is to be said before the walk's first frame
	known rooms.Known
	sent  int64  // by the walk, and not counted yet
	level bool   // the walk has come to
	end   uint64 // where it is level with the room

	every time.Duration // between two sends; 0: at once
	due   time.Duration // of the next send, by the engine's clock
	place int           // in loop.delays, from 1; 0: it is not there

	skipped uint64 // frames that were superseded before they were sent
	told    tick   // when the client last heard of them
}

// walk says that a seat gets the newest frame of each key instead of all.
type walk uint8

const (
	walkNone     walk = iota
	walkSnapshot      // from the beginning, between snapshot_begin and snapshot_end
	walkOn            // from its cursor, because it lags
	walkResume        // from the beginning, without what its client has
)

// special is the seat's special; nil: it has none.
func (c *Conn) special(t *seat) *special {
	if !t.special {
		return nil
	}
	return c.extras.specials[t.sub]
}

func (c *Conn) makeSpecial(t *seat) *special {
	if x := c.special(t); x != nil {
		return x
	}
	x, e := &special{conn: c, sub: t.sub}, c.extrasOf()
	if e.specials == nil {
		e.specials = map[*rooms.Sub]*special{}
	}
	x.sift.Deflated = t.deflated
	e.specials[t.sub] = x
	t.special = true
	return x
}

func (l *Loop) dropSpecial(c *Conn, t *seat) {
	if !t.special {
		return
	}
	x := c.special(t)
	if x.place > 0 {
		heap.Remove(&l.delays, x.place-1)
	}
	x.past.Release()
	if x.recall != nil {
		x.recall.Drop()
	}
	l.countWalk(c, t, x)
	t.special = false
	delete(c.extras.specials, t.sub)
	c.tidy()
}

// seated gives a new seat what its request asked for beyond the live frames.
func (l *Loop) seated(c *Conn, t *seat, ref *RoomRef) {
	if ref.Keys != nil {
		c.makeSpecial(t).sift.SetKeys(ref.Keys)
	}
	if ref.await {
		c.makeSpecial(t).await = true
	}
	if ref.Every > 0 {
		c.makeSpecial(t).every = ref.Every
	}
	if ref.missed != nil {
		c.makeSpecial(t).missed = ref.missed
	}
	if how := ref.resume; how != nil && (t.at < how.Until || how.Ahead || how.Walk || ref.past != nil) {
		x := c.makeSpecial(t)
		x.sift.Resumed(how)
		x.seam, x.epoch = t.at, ref.Since.Epoch
		if how.Walk {
			x.walk, x.known = walkResume, how.Known
		} else {
			x.beginPast(ref.past, how.UpTo)
		}
	}
	if ref.Snapshot {
		l.beginSnapshot(t, c.makeSpecial(t))
	}
}

// beginSnapshot has the seat walk all last values, from the oldest update on. Its client
// hears of it when its turn comes: a thousand rooms' notices at once are more than may
// wait for a client that reads.
func (l *Loop) beginSnapshot(t *seat, x *special) {
	x.walk, x.begin, x.level, t.at = walkSnapshot, true, false, 0
	x.known, x.sift.Until = t.sub.Room().Forgotten(), t.sub.Room().Head()
	l.stats.Snapshots++
}

// gatherSpecial cuts what a special seat lacks; false: the connection is being closed.
func (l *Loop) gatherSpecial(c *Conn, k, left int) bool {
	s, t := &l.send, &c.seats[k]
	x, r := c.special(t), t.sub.Room()
	if !l.tellFirst(c, t, x) {
		return true
	}
	if x.upTo != nil && x.past == nil && !x.waiting {
		switch {
		case x.more && l.engine.now() < x.retry:
			return true
		case x.more || t.at <= x.seam && t.at < r.Tail():
			l.reseat(c, t, x)
		case t.at > x.seam:
			x.upTo = nil
		}
	}
	if x.waiting {
		return true
	}
	if !l.settle(c, t, x) {
		return true
	}
	if !t.special { // settled: an ordinary seat from now on
		s.more = s.more || t.at < r.Head()
		return true
	}
	if x.await {
		if !l.awaited(c, t, x) {
			return c.state == stOpen
		}
	}
	if x.past != nil {
		l.gatherPast(k, left, x)
		return true
	}
	if l.tooSoon(x) {
		return true
	}
	if x.walk == walkNone && r.Class().Conflate && (x.every > 0 || l.table.Behind(r, t.at)) {
		x.walk, x.known = walkOn, rooms.Known{}
	}
	return l.gatherTape(c, k, left, x)
}

// gatherTape is gatherSpecial for what comes from the room's tape, or from its last values.
func (l *Loop) gatherTape(c *Conn, k, left int, x *special) bool {
	s, t := &l.send, &c.seats[k]
	r := t.sub.Room()
	had := len(s.pieces)
	var next uint64
	switch {
	case x.walk != walkNone:
		lost := false
		next, s.pieces, x.level, lost = r.CutLatest(t.at, x.known, left, &x.sift, s.pieces)
		if lost {
			x.sift.Have = nil
			s.more = true
			l.beginSnapshot(t, x)
			return true
		}
		if x.level {
			x.end = next
			x.due = l.engine.now() + x.every
		}
		s.more = true // at least to say that it is level
	default:
		lagged := false
		next, s.pieces, lagged = r.CutSome(t.at, left, &x.sift, s.pieces)
		if lagged {
			s.more = true
			return l.lagged(c, t) || c.state == stOpen
		}
		if s.more = s.more || next < r.Head(); next >= r.Head() && len(s.pieces) > had {
			x.due = l.engine.now() + x.every
		}
	}
	l.ranTo(c, k, len(s.pieces)-had, next)
	return true
}

// awaited sets the seat to the keyframe that it awaits; false: there is none yet, the
// client cannot be told now, or the connection is being closed.
func (l *Loop) awaited(c *Conn, t *seat, x *special) bool {
	r := t.sub.Room()
	head := r.Head() // before the keyframe: one that comes now is behind it
	k, ok := r.Keyframe()
	if !ok || k < t.at {
		t.at = head
		return false
	}
	to := l.table.PositionsAt(r, k)
	if !l.tell(c, wire.TextFrame(wire.AppendGap(nil, r.Name(), rooms.Positions{Epoch: to.Epoch}, to))) {
		return false
	}
	x.await, t.at = false, k
	return true
}

// settle ends what has come to its end: a walk that is level with its room,
// offsets that no frame will have again, skipped frames that were not told of. false:
// not now, since its client must hear of the end first.
func (l *Loop) settle(c *Conn, t *seat, x *special) bool {
	r := t.sub.Room()
	if x.walk != walkNone && x.level && t.at >= x.end {
		if x.walk == walkSnapshot {
			p := l.table.PositionsAt(r, t.at)
			if !l.tell(c, wire.TextFrame(wire.AppendSnapshotEnd(nil, r.Name(), p, l.table.Partial(r)))) {
				return false
			}
		}
		x.walk, x.level = walkNone, false
		l.countWalk(c, t, x)
	}
	if x.sift.Have != nil && x.upTo == nil && l.outgrown(t, x) {
		x.sift.Have = nil
	}
	if x.skipped > 0 && l.wheel.at-x.told >= ticks(conflatedEvery) {
		if !l.tell(c, wire.TextFrame(wire.AppendConflated(nil, r.Name(), x.skipped))) {
			return false
		}
		x.skipped, x.told = 0, l.wheel.at
	}
	if x.walk == walkNone && x.upTo == nil && !x.await && x.sift.Have == nil && x.skipped == 0 && x.every == 0 && !x.sift.Keyed() {
		l.dropSpecial(c, t)
	}
	return true
}

// outgrown says that no frame from the seat's cursor on is among those that its
// client had when it came.
func (l *Loop) outgrown(t *seat, x *special) bool {
	if !x.sift.Ahead {
		return t.at >= x.sift.Until
	}
	// The client was ahead of this node, which may have caught up.
	at := l.table.PositionsAt(t.sub.Room(), t.at)
	return at.Epoch != "" && (at.Epoch != x.epoch || at.Cover(x.sift.Have))
}

// late says that what the seat gets is older by its own wish: a snapshot, what came
// after a place, or at a rate. A member that is conflated because it lags is not.
func (x *special) late() bool {
	return x.every > 0 || x.walk == walkSnapshot || x.walk == walkResume || x.sift.Have != nil || x.upTo != nil
}

// ranTo notes a run of pieces. One without pieces has nothing to wait for.
func (l *Loop) ranTo(c *Conn, k, pieces int, next uint64) {
	if pieces == 0 {
		l.moved(c, &c.seats[k], next, 0)
		return
	}
	x := c.special(&c.seats[k])
	walk := x.walk == walkSnapshot || x.walk == walkResume
	l.send.runs = append(l.send.runs, run{seat: k, pieces: pieces, next: next, late: x.late(), walk: walk})
}

// moved sets the seat's cursor to next; frames were begun to be sent on the way.
func (l *Loop) moved(c *Conn, t *seat, next uint64, frames int) {
	if t.special {
		if x := c.special(t); x.walk == walkOn {
			x.skipped += next - t.at - uint64(frames)
			l.stats.Conflated += next - t.at - uint64(frames)
		}
	}
	t.at = next
}
