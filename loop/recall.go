package loop

import (
	"slices"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// locate asks for the positions at the times that a join names. It returns false if it asked for
// none. The join continues when the last of them is known.
func (j *joining) locate(l *Loop, c *Conn) bool {
	for i := range j.refs {
		ref := &j.refs[i]
		if ref.SinceTime == 0 || ref.Since != nil || ref.lost != nil {
			continue
		}
		if l.engine.cfg.PositionsAt == nil {
			ref.lost = &rooms.TooOldError{Why: "the gateway reads no topic"}
			continue
		}
		j.waiting++
		user := l.handler.Payer(c).User
		l.engine.cfg.PositionsAt(ref.Pattern, ref.SinceTime, user, func(at rooms.Positions, err error) {
			l.do(func(l *Loop) { j.located(l, c, ref, at, err) })
		})
	}
	return j.waiting > 0
}

// located takes the positions at a time.
func (j *joining) located(l *Loop, c *Conn, ref *RoomRef, at rooms.Positions, err error) {
	if ref.lost = err; err == nil {
		ref.Since = &at
	}
	if j.waiting--; j.waiting == 0 && c.state == stOpen {
		j.begin(l, c)
	}
}

// recall asks for what the tapes no longer hold of the rooms that are being joined. It returns
// false if it asked for nothing. The join continues when the last answer is here, so that its reply
// can say whether it succeeded. A connection with a budget has one room read after the other: what
// several are given could be many times what it has left.
func (j *joining) recall(l *Loop, c *Conn) bool {
	for j.recallAt < len(j.given) {
		i, r := j.recallAt, j.given[j.recallAt]
		j.recallAt++
		if r.Err != nil || r.Resume == nil || !r.Resume.Recall {
			continue
		}
		if j.pasts == nil {
			j.pasts = make([]*rooms.Past, len(j.given))
		}
		if l.engine.cfg.Recall == nil {
			l.beginNow(r, &rooms.TooOldError{Why: r.Resume.Lost})
			continue
		}
		wait, counted := l.engine.cfg.RecallBegins(c)
		if wait > 0 {
			l.beginNow(r, errRecallBudget(wait))
			continue
		}
		j.waiting++
		ask := &rooms.Recall{
			Pattern: r.Pattern, Room: r.Name, Payer: l.handler.Payer(c), Epoch: r.Since.Epoch,
			Lost: r.Resume.Lost, After: r.Resume.After(), UpTo: r.Resume.UpTo, Next: counted && len(j.recalls) > 0,
			Done:     func(p *rooms.Past, err error) { l.do(func(l *Loop) { j.recalled(l, c, i, p, err) }) },
			TakeBack: l.takesBack(c, r.Sub),
		}
		if w := j.requests[i].wildcard; w != nil {
			ask.Judged = w.Judged(r)
		}
		j.recalls = append(j.recalls, ask)
		l.engine.cfg.Recall(ask)
		if counted {
			break
		}
	}
	return j.waiting > 0
}

// giveBack releases a past that waits for those of other rooms of the join, since they may wait for
// its memory. Once the join is answered its member asks again.
func (j *joining) giveBack(p *rooms.Past) bool {
	i := slices.Index(j.pasts, p)
	if i < 0 || j.waiting == 0 {
		return false
	}
	j.pasts[i] = rooms.NoPast(j.given[i].Resume.After())
	p.Release()
	return true
}

// releasePasts releases what was read again and has no member. c is nil if no member was begun.
func (j *joining) releasePasts(c *Conn) {
	for i, p := range j.pasts {
		var x *member.Extra
		if c != nil && c.extras != nil {
			x = c.extras.members[j.given[i].Sub]
		}
		if !x.Holds(p) {
			p.Release()
		}
	}
}

// recalled takes what was read again for the i-th membership that was given.
func (j *joining) recalled(l *Loop, c *Conn, i int, past *rooms.Past, err error) {
	if j.pasts[i] = past; err != nil {
		l.beginNow(j.given[i], err)
	} else {
		l.engine.cfg.RecallGiven(c, past.Size())
	}
	if j.waiting--; j.waiting == 0 {
		j.goOn(l, c)
	}
}

// beginNow makes a given membership start now instead of where its client was.
func (l *Loop) beginNow(given *rooms.Member, why error) {
	given.TooOld, given.Resume = why, nil
	given.At, given.Positions, given.Await = l.table.Entry(given.Sub.Room())
}

// takesBack returns the function to call when others need the memory of a Recall.
func (l *Loop) takesBack(c *Conn, sub *rooms.Sub) func(*rooms.Past) {
	return func(p *rooms.Past) { l.do(func(l *Loop) { l.takeBack(c, sub, p) }) }
}

// takeBack releases a past while its client takes nothing.
func (l *Loop) takeBack(c *Conn, sub *rooms.Sub, p *rooms.Past) {
	if c.side != nil && c.side.joining != nil && c.side.joining.giveBack(p) {
		return
	}
	if c.extras == nil {
		return
	}
	if x := c.extras.members[sub]; x != nil {
		x.TakeBack(p)
	}
}
