package ingest

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"tapecast/rooms"
)

// turn has one slice read, or answers those that what is kept is enough for; false: there
// is nothing to do before a.next, or before something was read.
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

// sort looks at all that wait: it refuses what cannot be served, what has waited for
// too long and what nobody waits for, and has Kafka asked where topics begin and end.
func (a *recaller) sort(now time.Time) {
	kept := a.asked[:0]
	for _, w := range a.asked {
		a.beat.Begin()
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

// settle answers the request if that needs no read; false: it waits.
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
		why, err := k.judge(w, a.c.cfg.RecallBytes, now)
		switch {
		case errors.Is(err, errSlow): // a partition has no leader, or it does not answer
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
	if w.judged && w.lack() == 0 && w.Names != nil {
		a.answerNames(w)
		return true
	}
	if w.judged && w.lack() == 0 {
		a.hand(w, &shared{past: rooms.NewPast(w.Pattern, w.Room, nil, nil)})
		return true
	}
	if w.judged && w.Names == nil && a.share(w) {
		return true
	}
	if now.Sub(w.came) > recallFor && !w.late {
		a.refuse(w, refusedSlow, errSlow)
		return true
	}
	return false
}

// share gives the request frames that others were given of its room, if they are a good
// part of what it lacks.
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

// pick returns the request whose turn it is; nil: none can be served now. Users have
// turns in rounds: of those that have not had one, the one that lacks least is next, and
// every fourth time the one that has waited longest.
func (a *recaller) pick(now time.Time) *asked {
	if len(a.idle) == 0 {
		return nil
	}
	// What is being read will be handed out.
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

// mayRead reports whether something may be read for the request now.
func (a *recaller) mayRead(w *asked, now time.Time) bool {
	if !w.judged || w.topic.reading {
		return false
	}
	if now.Before(w.topic.retryAt) {
		a.soon(w.topic.retryAt)
		return false
	}
	if most := a.c.cfg.RecallBytes; most >= 0 {
		w.user.refill(most, now)
		if w.user.left <= 0 {
			if !w.late {
				w.late = true
				a.figures.budgetWaits.Add(1)
			}
			a.soon(now.Add(w.user.until(min(a.slice(), most), most)))
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

// group is the requests of one turn, and the stretches that they are served from.
type group struct {
	topic *recallTopic
	list  []*asked
	union []stretch
	want  map[*recallUser]float64 // bytes that each asks for
}

// window is the part of what the request lacks that one slice is for.
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

// gather finds who is served together with the first: whose windows make the read
// little longer, those that lack least before others.
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
			return // too much, or of elsewhere
		}
		g.union, g.list = union, append(g.list, w)
		g.want[w.user] = max(g.want[w.user], n)
	}
	join(first)
	type other struct {
		w    *asked
		lack int64 // its partitions are looked at once, not at each comparison
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

// serve has what the group lacks read, and answers it at once where that is nothing.
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
	// What is too much to be kept, or would push out all else, is taken for those that
	// ask now, and no longer.
	var want *wanted
	if least := float64(g.list[0].lack()) * k.weight(); least > float64(a.c.cfg.RecallMemory/2) {
		want = wantedBy(g)
	} else {
		a.makeRoom(int64(float64(records(list)) * k.weight()))
	}
	a.begin(&recallRead{g: g, list: list, want: want, begun: now})
}

// finish answers those of the group who have something by now. fresh is what was read for
// them and not kept.
func (a *recaller) finish(g *group, fresh []*piece, now time.Time) {
	pasts, scans := map[string]*shared{}, map[string]*scan{}
	done := map[*asked]bool{}
	for _, w := range g.list {
		a.beat.Begin() // there may be thousands, with the names of thousands of rooms each
		answered := false
		if w.Names != nil {
			answered = a.nameOut(w, g, scans, fresh, now)
		} else {
			answered = a.handOut(w, g, pasts, fresh, now)
		}
		if answered {
			done[w] = true
			w.user.waiting--
		}
	}
	a.asked = slices.DeleteFunc(a.asked, func(w *asked) bool { return done[w] })
	a.makeRoom(0)
}
