package ingest

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
)

// turn serves one group of requests: from kept records, or by starting a read. It returns false
// if there is nothing to do before a.next, the next read or the next request.
func (a *recaller) turn() bool {
	now := time.Now()
	a.next = time.Time{}
	a.sort(now)
	a.figures.kept.Store(uint64(a.bytes))
	if len(a.asked) == 0 {
		return false
	}
	first := a.pick(now)
	if first == nil {
		return false
	}
	a.turns++
	g := a.gather(first, now)
	a.serve(g, now)
	return true
}

// sort goes through all requests. It answers those that need no read, and refuses those that
// cannot be served, have waited for too long, or were dropped. Then it asks Kafka for the bounds
// of topics.
func (a *recaller) sort(now time.Time) {
	kept := a.asked[:0]
	for _, w := range a.asked {
		a.heartbeat.Begin()
		if !a.settle(w, now) {
			kept = append(kept, w)
		} else {
			w.user.waiting--
		}
	}
	clear(a.asked[len(kept):])
	a.asked = kept
	for _, k := range a.topics {
		a.look(k, now)
	}
}

// settle answers or refuses the request if that needs no read; false: it waits.
func (a *recaller) settle(w *asked, now time.Time) bool {
	k := w.topic
	if w.reading {
		return false
	}
	if w.Dropped() {
		a.refuse(w, refusedGone, rooms.ErrStopped)
		return true
	}
	if !w.judged && k.at.After(w.came) {
		why, err := k.judge(w, now)
		switch {
		case errors.Is(err, errSlow): // a partition has no leader, or the leader does not answer
			if !k.looking && k.wants.IsZero() {
				a.stumble(k, errSlow)
			}
		case err != nil:
			a.refuse(w, why, err)
			return true
		default:
			w.judged = true
		}
	}
	switch {
	case w.judged && w.lack() == 0 && w.Names != nil:
		a.answerNames(w)
	case w.judged && w.lack() == 0:
		a.hand(w, &shared{past: rooms.NewPast(w.Pattern, w.Room, nil, nil)})
	case w.judged && w.Names == nil && a.share(w):
	case now.Sub(w.came) > recallFor && !w.late:
		a.refuse(w, refusedSlow, errSlow)
	default:
		return false
	}
	return true
}

// share answers the request with frames that other members of its room hold, if they are at
// least half of the offsets that it lacks.
func (a *recaller) share(w *asked) bool {
	s := w.topic.handed[w.Room]
	if s == nil || !a.handed.live(s) {
		delete(w.topic.handed, w.Room)
		return false
	}
	var has, lacks int64
	for _, l := range w.lacks() {
		i := slices.IndexFunc(s.reaches, func(r stretch) bool { return r.part == l.part })
		if i < 0 || s.reaches[i].from > l.from {
			return false
		}
		lacks += l.to - l.from
		has += max(min(s.reaches[i].to, l.to)-l.from, 0)
	}
	if has < (lacks+1)/2 {
		return false
	}
	a.hand(w, s)
	return true
}

// pick returns the request whose turn it is; nil: none can be served now. Each user has one turn
// in a round. Of the requests of the users left, the one that lacks least is next. Every fourth
// time it is the one that has waited longest.
func (a *recaller) pick(now time.Time) *asked {
	if len(a.idle) == 0 {
		return nil
	}
	// Reads under way will be handed out too.
	held := func() int64 { return a.handed.total() + int64(recallLanes-len(a.idle))*2*a.slice() }
	room := a.c.cfg.RecallMemory - held()
	if short := room < 2*a.slice(); short {
		a.handed.short.Store(true)
		a.handed.takeBack(4*a.slice()-room, nil, now)
		if a.c.cfg.RecallMemory-held() < 2*a.slice() {
			a.soon(now.Add(crowdedFor / 2))
			return nil
		}
	}
	a.handed.short.Store(false)
	var best *asked
	for range 2 {
		had := false
		for _, w := range a.asked {
			if !a.mayRead(w, now) {
				continue
			}
			if had = true; w.user.round > a.round {
				continue
			}
			if best == nil || a.before(w, best) {
				best = w
			}
		}
		if best != nil || !had {
			break
		}
		a.round++
	}
	return best
}

func (a *recaller) before(w, x *asked) bool {
	if a.turns%4 == 3 {
		return w.came.Before(x.came)
	}
	return w.lack() < x.lack()
}

// mayRead reports whether a lane may read for the request now.
func (a *recaller) mayRead(w *asked, now time.Time) bool {
	if !w.judged || w.topic.reading {
		return false
	}
	if now.Before(w.topic.retryAt) {
		a.soon(w.topic.retryAt)
		return false
	}
	if most := w.user.budget; most >= 0 {
		w.user.refill(now)
		if w.user.left <= 0 {
			if !w.late {
				w.late = true
				a.figures.budgetWaits.Add(1)
			}
			a.soon(now.Add(w.user.until(min(a.slice(), most))))
			return false
		}
	}
	if held := a.handed.of(w.user); held > 0 && held+a.slice() > max(a.c.cfg.RecallMemory/4, 2*a.slice()) {
		if u := w.user; now.Sub(u.pressed) >= crowdedFor {
			u.pressed = now
			a.handed.takeBack(2*a.slice(), u, now)
		}
		a.handed.short.Store(true)
		a.soon(now.Add(crowdedFor))
		return false
	}
	if w.late {
		w.late, w.came = false, now
	}
	return true
}

type group struct {
	topic *recallTopic
	list  []*asked
	union []stretch               // the stretches that include all their windows
	want  map[*recallUser]float64 // bytes of memory that each user asks for
}

// window returns the part of the request's stretches for one slice.
func (a *recaller) window(w *asked) []stretch {
	list := w.lacks()
	all := float64(records(list)) * w.topic.weight()
	if most := float64(a.slice()); all > 1.5*most {
		for i := range list {
			part := float64(list[i].to-list[i].from) * (most / all)
			list[i].to = list[i].from + min(int64(part)+1, list[i].to-list[i].from)
		}
	}
	return list
}

// windows returns stretches with the windows of all requests of a group for that room or prefix.
func (a *recaller) windows(of *asked, g *group) (list []stretch) {
	for _, w := range g.list {
		if w.Room == of.Room && (w.Names == nil) == (of.Names == nil) {
			for _, s := range a.window(w) {
				list = widen(list, s)
			}
		}
	}
	return list
}

// gather finds the requests to serve together with the first: their windows make the read
// little longer. Those that lack least come before others.
func (a *recaller) gather(first *asked, now time.Time) *group {
	g := &group{topic: first.topic, want: map[*recallUser]float64{}}
	size := g.topic.weight()
	most := 2 * float64(a.slice())
	join := func(w *asked) {
		window := a.window(w)
		n := float64(records(window)) * size
		union := slices.Clone(g.union)
		for _, s := range window {
			union = widen(union, s)
		}
		now, before := float64(records(union))*size, float64(records(g.union))*size
		if len(g.list) > 0 && (now > max(most, before) || now > before+n+size*float64(len(union))) {
			return // too much, or too far from the other windows
		}
		g.union, g.list = union, append(g.list, w)
		g.want[w.user] = max(g.want[w.user], n)
	}
	join(first)
	type other struct {
		w    *asked
		lack int64 // computed once, not at each comparison
	}
	var others []other
	for _, w := range a.asked {
		if w != first && w.topic == g.topic && a.mayRead(w, now) {
			others = append(others, other{w, w.lack()})
		}
	}
	slices.SortFunc(others, func(x, y other) int { return cmp.Compare(x.lack, y.lack) })
	for _, o := range others {
		join(o.w)
	}
	return g
}

// serve starts a read of what the group lacks and nobody has kept, or else answers at once.
func (a *recaller) serve(g *group, now time.Time) {
	k := g.topic
	var list []stretch
	for _, s := range g.union {
		list = k.missing(list, s)
	}
	for _, w := range g.list {
		w.user.round = a.round + 1
	}
	if len(list) == 0 {
		a.finish(g, nil, now)
		return
	}
	// A read that would push out everything else serves only this group, and is not kept.
	var want *wanted
	if least := float64(g.list[0].lack()) * k.weight(); least > float64(a.c.cfg.RecallMemory/2) {
		want = wantedBy(g)
	} else {
		a.makeRoom(int64(float64(records(list)) * k.weight()))
	}
	a.begin(&recallRead{g: g, list: list, want: want, begun: now})
}

// finish answers the requests of the group that have frames or names by now. The pieces in fresh
// were read for the group and are not kept.
func (a *recaller) finish(g *group, fresh []*piece, now time.Time) {
	pasts, scans := map[string]*shared{}, map[string]*scan{}
	done := map[*asked]bool{}
	for _, w := range g.list {
		a.heartbeat.Begin() // there may be thousands of requests, each with the names of thousands of rooms
		if w.Names != nil {
			done[w] = a.nameOut(w, g, scans, fresh, now)
		} else {
			done[w] = a.handOut(w, g, pasts, fresh, now)
		}
		if done[w] {
			w.user.waiting--
		}
	}
	a.asked = slices.DeleteFunc(a.asked, func(w *asked) bool { return done[w] })
	a.makeRoom(0)
}
