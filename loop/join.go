package loop

import (
	"errors"
	"slices"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// begin asks the appenders to join the rooms that the connection may join. It waits first until the
// positions of all times are known.
func (j *joining) begin(l *Loop, c *Conn) {
	c.sideOf().joining = j
	if j.locate(l, c) {
		return
	}
	bare := slices.ContainsFunc(c.members, func(t member.Member) bool { return t.Room().Pattern().Bare })
	j.list = make([]Joined, len(j.refs))
	j.join.Rooms = make([]rooms.Member, 0, len(j.refs))
	j.asked = make(map[string]bool, len(j.refs))
	for i, ref := range j.refs {
		out := &j.list[i]
		out.Name, out.Class = ref.Name, ref.Pattern.Class.Name
		switch {
		case ref.Wildcard:
			out.Wildcard = true
			out.Err = j.askWildcard(l, c, i)
		case j.named(c, ref.Name):
			out.Err = ErrAlready
		case bare && ref.Pattern.Bare:
			out.Err = ErrBareRoom
		default:
			bare = bare || ref.Pattern.Bare
			j.asked[ref.Name] = true
			j.join.Rooms = append(j.join.Rooms, rooms.Member{Name: ref.Name, Pattern: ref.Pattern, Since: ref.Since})
		}
	}
	j.join.Payer = l.handler.Payer(c)
	j.join.Done = func(*rooms.Join) { l.post(event{kind: evJoined, conn: c, arg: j}) }
	l.table.Join(l.listener, &j.join)
}

// named reports whether the connection is in the room or joins it by name.
func (j *joining) named(c *Conn, room string) bool { return j.asked[room] || c.find(room) >= 0 }

// stage is how far a join has come after the appenders have answered.
type stage uint8

const (
	stageAsk   stage = iota // what the tapes no longer hold is asked for
	stageTake               // memberships begin
	stageKnown              // rooms that the connection was in already are looked up
	stageUnder              // rooms of its wildcards are looked up
	stageBegin              // the reply is queued; members get what they asked for beyond the live frames
)

// goOn takes the memberships that the appenders gave, some of them in each step. The reply is
// queued before any frame of those rooms can be.
func (j *joining) goOn(l *Loop, c *Conn) {
	if j.given == nil {
		if j.seek(l, c) {
			return
		}
		j.collect(l, c)
	}
	if c.state != stOpen {
		j.forsake(l)
		return
	}
	if j.stage == stageAsk {
		if j.recall(l, c) {
			return
		}
		j.refuseLate(l)
		j.stage, j.had = stageTake, len(c.members)
		c.members = slices.Grow(c.members, len(j.given))
		j.takeWildcards(c)
	}
	if !j.takeSome(l, c) {
		if c.state == stOpen {
			l.goOn(c, evJoined, j)
		} else {
			j.releasePasts(c)
		}
		return
	}
	j.releasePasts(c)
	for _, w := range j.wildcards {
		w.joined(l)
	}
	if c.state != stOpen {
		return
	}
	c.flags &^= fHeld
	c.side.joining = nil
	l.ready.add(c)
	l.resumeSide(c)
}

// forsake gives up a join whose connection is being closed. The memberships that it has begun were
// left by then.
func (j *joining) forsake(l *Loop) {
	if j.stage <= stageTake {
		for _, s := range j.given[j.at:] {
			if s.Err == nil {
				l.table.Leave(s.Sub)
			}
		}
	}
	for _, w := range j.wildcards {
		w.drop(l)
	}
	j.releasePasts(nil)
}

// takeSome is one step of goOn. It returns false if there is more to do or the connection is being
// closed.
func (j *joining) takeSome(l *Loop, c *Conn) bool {
	left := stepRooms
	each := func(n int, do func(i int)) bool {
		for ; j.at < n && left > 0 && c.state == stOpen; j.at++ {
			do(j.at)
			left--
		}
		return j.at == n && c.state == stOpen
	}
	if j.stage == stageTake {
		if !each(len(j.given), func(i int) { j.takeGiven(l, c, i) }) {
			return false
		}
		j.settle(l, c)
		j.stage, j.at = stageKnown, 0
	}
	if j.stage == stageKnown {
		if !each(len(j.list), func(i int) { j.known(l, c, &j.list[i]) }) {
			return false
		}
		j.stage, j.at = stageUnder, 0
	}
	if j.stage == stageUnder {
		under := func(i int) {
			t := &c.members[i]
			if out := j.under[t.Wildcard]; t.Wildcard > 0 && out != nil {
				c.describeUnder(t, out)
			}
		}
		if len(j.under) > 0 && !each(len(c.members), under) {
			return false
		}
		for _, out := range j.under {
			sortJoined(out.Rooms)
		}
		j.stage, j.at = stageBegin, 0
		l.answer(c, j.reply(j.list))
	}
	return each(len(j.given), func(i int) {
		if p := &j.requests[i]; p.out.Err == nil {
			if k := c.memberIn(j.given[i].Sub); k >= 0 { // it may have left meanwhile
				l.begin(c, &c.members[k], &p.wish)
			}
		}
	})
}

// known answers for a room or wildcard that the connection was in before, with its present state.
func (j *joining) known(l *Loop, c *Conn, out *Joined) {
	switch {
	case !errors.Is(out.Err, ErrAlready):
	case out.Wildcard:
		w := c.wildcardOf(out.Name)
		if w == nil {
			return // this request asked for it twice, and it was refused
		}
		*out = *w.describe()
		out.Already, out.Keys, out.Every = true, w.Keys, w.Every
		if j.under == nil {
			j.under = map[uint8]*Joined{}
		}
		j.under[w.ID] = out
	default:
		k := c.find(out.Name)
		if k < 0 {
			return // this request asked for it twice
		}
		t := &c.members[k]
		*out = c.describe(t)
		out.Already = true
		if x := c.extra(t); x != nil {
			out.Keys, out.Every = x.Keys(), x.Every()
		}
	}
}

// takeGiven begins the i-th membership that was given.
func (j *joining) takeGiven(l *Loop, c *Conn, i int) {
	p, s := &j.requests[i], j.given[i]
	l.take(c, s, p)
	if p.out.Err != nil {
		return
	}
	if j.pasts != nil {
		p.wish.Past = j.pasts[i]
	}
	// The tape may have dropped frames since the appender gave the membership.
	gone := s.Resume != nil && !s.Pattern.Class.Conflate && s.At < s.Sub.Room().Tail()
	if gone && p.wish.Past == nil {
		p.wish.Past = rooms.NoPast(s.Resume.Have) // the member asks again
	}
	if w := p.wildcard; w != nil {
		c.members[len(c.members)-1].Wildcard = w.ID
		w.Rooms++
	}
}

// take begins a membership that was given. It leaves the room again if the past can be had only
// later.
func (l *Loop) take(c *Conn, given *rooms.Member, p *request) {
	ref, out, class := p.ref, p.out, given.Pattern.Class
	if given.TooOld == nil {
		given.TooOld = ref.lost
	}
	out.Positions, out.TooOld, out.Err = given.Positions, given.TooOld, given.Err
	out.Since = given.Since != nil || ref.SinceTime != 0
	if out.Err == nil && errors.As(out.TooOld, new(*rooms.NotNowError)) {
		l.table.Leave(given.Sub) // the client keeps its positions and asks again
		out.Err = out.TooOld
		out.Positions = rooms.Positions{}
	}
	if out.Err != nil {
		return
	}
	snapshot := ref.Snapshot && given.Keys > 0 && given.Resume == nil || out.TooOld != nil && class.Snapshot
	if snapshot || given.Resume != nil && given.Resume.Walk {
		if out.Err = l.engine.cfg.SnapshotBegins(c, given.Name, given.Keys); out.Err != nil {
			l.table.Leave(given.Sub)
			out.Positions = rooms.Positions{}
			return
		}
	}
	c.enter(given.Sub, given.At)
	p.wish = member.Wish{
		Snapshot: snapshot, Keys: ref.Keys, Every: ref.Every, Await: given.Await, Resume: given.Resume,
	}
	if given.Since != nil {
		p.wish.Epoch = given.Since.Epoch
	}
	if out.TooOld != nil {
		p.wish.Missed = &member.Gap{To: given.Positions}
		var lost *rooms.TooOldError
		if given.Since != nil {
			p.wish.Missed.From = *given.Since
		} else if errors.As(ref.lost, &lost) { // the client gave a time: start at the oldest record that is left
			p.wish.Missed.From = lost.Oldest
		}
	}
	// A wildcard's come anyway, and rooms that no topic feeds have none.
	p.wish.Unplaced = given.Positions.Epoch == "" && given.Pattern.Feed != nil && p.wildcard == nil && !snapshot
	out.Partial = given.Partial
	out.Chain = !class.Conflate && ref.Keys == nil && ref.Every == 0
	if snapshot {
		out.Positions = rooms.Positions{}
	}
}
