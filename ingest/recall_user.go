package ingest

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"tapecast/rooms"
)

// recallUser has the figures of one user. It is forgotten when there is nothing left to
// count. The recaller's goroutine owns it, except held.
type recallUser struct {
	waiting int       // requests
	round   uint64    // the round of its last turn
	budget  int64     // bytes a minute, as its last request had it; below 0: any number
	left    float64   // bytes left of its budget; below 0: more was read than it had
	at      time.Time // when left was refilled last
	pressed time.Time // when its members were last asked to give frames back
	held    int64     // bytes of frames that its members hold; under handouts.mu
}

// user returns the figures of a request's user, with the budget that the request brings. All requests
// without a user count as one user.
func (a *recaller) user(who rooms.Payer) *recallUser {
	u, now := a.users[who.User], time.Now()
	budget := cmp.Or(who.RecallBytes, a.c.cfg.RecallBytes)
	if u == nil {
		u = &recallUser{budget: budget, left: float64(budget), at: now}
		a.users[who.User] = u
		a.figures.users.Store(int64(len(a.users)))
	}
	u.allow(budget, now)
	return u
}

// allow gives the user another budget. It has used as large a part of it as it had of the old one: a debt
// in bytes could take hours to pay off by a small budget.
func (u *recallUser) allow(budget int64, now time.Time) {
	if budget == u.budget {
		return
	}
	u.refill(now)
	part := 1.0
	if u.budget > 0 && budget >= 0 {
		part = u.left / float64(u.budget)
	}
	if u.budget, u.left = budget, part*float64(budget); now.After(u.at) {
		u.at = now
	}
}

// refill adds what has come of the user's budget since the last time. No more than one minute's bytes
// are saved.
func (u *recallUser) refill(now time.Time) {
	if now.After(u.at) && u.budget >= 0 {
		u.left = min(float64(u.budget), u.left+float64(u.budget)*now.Sub(u.at).Minutes())
		u.at = now
	}
}

func (u *recallUser) until(bytes int64) time.Duration {
	return time.Duration((float64(bytes) - u.left) / float64(u.budget) * float64(time.Minute))
}

// idle reports whether the user has no request, and a full budget.
func (u *recallUser) idle(now time.Time) bool {
	u.refill(now)
	return u.waiting == 0 && (u.budget < 0 || u.left >= float64(u.budget))
}

// handouts counts the frames that members hold until they are sent. Any goroutine may use it.
type handouts struct {
	wake  func()      // wakes the recaller
	short atomic.Bool // the recaller waits for memory

	mu     sync.Mutex // guards the fields below, and others that name it
	leases map[*lease]struct{}
	bytes  int64  // of frames that somebody holds
	taken  uint64 // times that frames were taken back
}

// shared are frames of one room that several members may hold.
type shared struct {
	past    *rooms.Past
	reaches []stretch // by partition, in the order of After
	size    int64
	holders map[*recallUser]int // the number of members of each user; under handouts.mu
}

// lease is one member's hold on shared frames.
type lease struct {
	all    *handouts
	frames *shared
	user   *recallUser
	take   func(*rooms.Past)        // see rooms.Recall.TakeBack
	past   weak.Pointer[rooms.Past] // weak, so that the cleanup of a forgotten past can run
	began  time.Time
	ended  atomic.Bool

	// Under handouts.mu.
	seen   int       // Past.At at the last look
	seenAt time.Time // when it last moved, or was asked to give the frames back
	asked  bool      // it was asked to give the frames back at least once
}

// hand gives the frames to the request's member. They end at upTo, or else where it asked.
func (h *handouts) hand(s *shared, w *asked, upTo []rooms.Pos) *rooms.Past {
	if s.size == 0 {
		return s.past.Share(upTo, nil)
	}
	l := &lease{all: h, frames: s, user: w.user, take: w.TakeBack, began: time.Now()}
	l.seenAt = l.began
	past := s.past.Share(upTo, l.end)
	l.past = weak.Make(past)
	// A member that is forgotten without a release must not be counted for ever.
	runtime.AddCleanup(past, (*lease).end, l)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leases == nil {
		h.leases = map[*lease]struct{}{}
	}
	h.leases[l] = struct{}{}
	if s.holders == nil {
		s.holders = map[*recallUser]int{}
	}
	if len(s.holders) == 0 {
		h.bytes += s.size
	}
	if s.holders[l.user]++; s.holders[l.user] == 1 {
		l.user.held += s.size
	}
	return past
}

// end ends the lease. Only the first call counts.
func (l *lease) end() {
	if l.ended.Swap(true) {
		return
	}
	h, s := l.all, l.frames
	h.mu.Lock()
	delete(h.leases, l)
	if s.holders[l.user]--; s.holders[l.user] == 0 {
		l.user.held -= s.size
		delete(s.holders, l.user)
	}
	if len(s.holders) == 0 {
		h.bytes -= s.size
	}
	h.mu.Unlock()
	if h.short.Load() {
		h.wake()
	}
}

func (h *handouts) of(u *recallUser) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return u.held
}

func (h *handouts) total() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}

func (h *handouts) live(s *shared) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(s.holders) > 0
}

// takeBack takes that many bytes back from members that were sent nothing for crowdedFor, or have held them
// for heldFor: from one user's members, or from those of the users that hold most. They give the frames back
// at once, since a slow client does not block its loop.
func (h *handouts) takeBack(n int64, of *recallUser, now time.Time) {
	h.mu.Lock()
	var stalled []*lease
	for l := range h.leases {
		past := l.past.Value()
		if past == nil || of != nil && l.user != of {
			continue
		}
		long := now.Sub(l.began) >= heldFor
		if at := past.At(); at != l.seen && !long {
			l.seen, l.seenAt = at, now
		} else if (long || now.Sub(l.seenAt) >= crowdedFor) && l.take != nil {
			stalled = append(stalled, l)
		}
	}
	slices.SortFunc(stalled, func(x, y *lease) int {
		return cmp.Or(cmp.Compare(y.user.held, x.user.held), x.seenAt.Compare(y.seenAt))
	})
	for i, l := range stalled {
		if n <= 0 {
			stalled = stalled[:i]
			break
		}
		if !l.asked {
			l.asked = true
			h.taken++
		}
		l.seenAt = now
		n -= l.frames.size / int64(len(l.frames.holders)*l.frames.holders[l.user])
	}
	h.mu.Unlock()
	for _, l := range stalled {
		if past := l.past.Value(); past != nil {
			l.take(past)
		}
	}
}

// wanted are the rooms that requests want of a read that is too large to be kept.
type wanted struct {
	rooms    map[string]bool
	prefixes []string // of rooms whose names are wanted, but not their records
}

func wantedBy(g *group) *wanted {
	want := &wanted{rooms: map[string]bool{}}
	for _, w := range g.list {
		if w.Names == nil {
			want.rooms[w.Room] = true
		} else if !slices.Contains(want.prefixes, w.Room) {
			want.prefixes = append(want.prefixes, w.Room)
		}
	}
	return want
}

// name notes the room of a record if only the room's name is wanted. It adds one record without
// a value for the room, with the last offset.
func (want *wanted) name(into *piece, rec *rooms.Record) {
	if list := into.rooms[string(rec.Room)]; len(list) > 0 {
		list[0].Offset = rec.Offset
		return
	}
	for _, prefix := range want.prefixes {
		if name := string(rec.Room); strings.HasPrefix(name, prefix) {
			into.rooms[name] = []rooms.Record{{Pattern: rec.Pattern, Partition: rec.Partition, Offset: rec.Offset}}
			return
		}
	}
}

// scan has the names of rooms in the read of a group, for the requests of one prefix.
type scan struct {
	reaches []stretch
	lasts   map[string][]rooms.Pos // by room: the last record of each partition
}

// scan collects names from the records in the windows of a group's requests for one prefix.
func (a *recaller) scan(of *asked, g *group, fresh []*piece, now time.Time) *scan {
	s := &scan{reaches: a.windows(of, g), lasts: map[string][]rooms.Pos{}}
	for i := range s.reaches {
		r := &s.reaches[i]
		at, end := r.from, r.to
		for at < end {
			p := g.topic.holding(r.part, at, fresh)
			if p == nil {
				break
			}
			p.used = now
			s.add(p, of, at)
			at = min(p.to, end)
		}
		r.to = at
	}
	return s
}

// add adds the rooms of a piece that have a record at an offset or after it.
func (s *scan) add(p *piece, of *asked, from int64) {
	for name, list := range p.rooms {
		if !strings.HasPrefix(name, of.Room) || len(list) == 0 || list[0].Pattern != of.Pattern {
			continue
		}
		last := rooms.Pos{Partition: p.part, Offset: list[len(list)-1].Offset}
		if last.Offset < from {
			continue
		}
		at := slices.IndexFunc(s.lasts[name], func(o rooms.Pos) bool { return o.Partition == p.part })
		if at < 0 {
			s.lasts[name] = append(s.lasts[name], last)
		} else {
			s.lasts[name][at].Offset = max(s.lasts[name][at].Offset, last.Offset)
		}
	}
}

// nameOut adds the names of the scan to the request, and answers it if it lacks no more offsets
// or has more names than it may join. Otherwise it returns false: the request goes on waiting.
func (a *recaller) nameOut(w *asked, g *group, scans map[string]*scan, fresh []*piece, now time.Time) bool {
	s := scans[w.Room]
	if s == nil {
		s = a.scan(w, g, fresh, now)
		scans[w.Room] = s
	}
	if w.names == nil {
		w.names = map[string]struct{}{}
	}
	for name, lasts := range s.lasts {
		for _, last := range lasts {
			i := slices.IndexFunc(w.UpTo, func(p rooms.Pos) bool { return p.Partition == last.Partition })
			if i >= 0 && w.from[i] <= last.Offset && w.from[i] <= w.UpTo[i].Offset {
				w.names[name] = struct{}{}
			}
		}
	}
	for i, p := range w.UpTo {
		if w.from[i] > p.Offset {
			continue
		}
		if to := min(reachOf(s.reaches, p.Partition, w.from[i]), p.Offset+1); to > w.from[i] {
			w.from[i], w.came = to, now
		}
	}
	if w.lack() > 0 && (w.Most == 0 || len(w.names) <= w.Most) {
		return false
	}
	a.answerNames(w)
	return true
}

func (a *recaller) answerNames(w *asked) {
	a.waiting.Add(-1)
	w.Names(slices.Sorted(maps.Keys(w.names)), nil)
}
