package ingest

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"tapecast/rooms"
)

// recallUser is what is counted of one user. It is forgotten when nothing is left to
// count. The recaller's goroutine owns it, but for held.
type recallUser struct {
	waiting int     // requests
	round   uint64  // in which it had its last turn
	left    float64 // of its budget, in bytes; below 0: more was read than it had
	at      time.Time
	pressed time.Time // when its members were asked last to give back what they hold
	held    int64     // bytes of frames that its members hold; under handouts.mu
}

// user returns the user's figures. A request without a user is nobody's: all of those
// are one user together.
func (a *recaller) user(name string) *recallUser {
	u := a.users[name]
	if u == nil {
		u = &recallUser{left: float64(a.c.cfg.RecallBytes), at: time.Now()}
		a.users[name] = u
		a.figures.users.Store(int64(len(a.users)))
	}
	return u
}

// refill gives the user what of its budget has come since the last time: most bytes a
// minute, and no more than that at once. most < 0: there is no limit.
func (u *recallUser) refill(most int64, now time.Time) {
	if now.After(u.at) {
		u.left = min(float64(most), u.left+float64(most)*now.Sub(u.at).Minutes())
		u.at = now
	}
}

// until is how long it takes until the user has so many bytes.
func (u *recallUser) until(bytes, most int64) time.Duration {
	return time.Duration((float64(bytes) - u.left) / float64(most) * float64(time.Minute))
}

// idle reports whether there is nothing to remember of the user.
func (u *recallUser) idle(most int64, now time.Time) bool {
	if most >= 0 {
		u.refill(most, now)
	}
	return u.waiting == 0 && (most < 0 || u.left >= float64(most))
}

// handouts counts what members hold of records that were read again, until they have
// been sent it. Any goroutine may use it.
type handouts struct {
	wake  func()      // the recaller
	short atomic.Bool // it waits for memory

	mu     sync.Mutex
	leases map[*lease]struct{}
	bytes  int64
	taken  uint64 // how often memory was taken back
}

// shared are frames of one room that several members may hold.
type shared struct {
	past    *rooms.Past
	reaches []stretch // by partition, in the order of After
	size    int64
	holders map[*recallUser]int // how many members of whom; under handouts.mu
}

// lease is one member's hold on shared frames.
type lease struct {
	all    *handouts
	frames *shared
	user   *recallUser
	take   func(*rooms.Past)        // see rooms.Recall.TakeBack
	past   weak.Pointer[rooms.Past] // or it would never be seen to be forgotten
	ended  atomic.Bool

	// Under handouts.mu.
	seen   int // how far the member was at the last look
	seenAt time.Time
	asked  bool // it was asked to give the frames back, and is again after crowdedFor
}

// hand gives the frames to the request's member, which takes them up to upTo (nil: as
// far as it asked).
func (h *handouts) hand(s *shared, w *asked, upTo []rooms.Pos) *rooms.Past {
	if s.size == 0 {
		return s.past.Share(upTo, nil)
	}
	l := &lease{all: h, frames: s, user: w.user, take: w.TakeBack, seenAt: time.Now()}
	past := s.past.Share(upTo, l.end)
	l.past = weak.Make(past)
	// A member that is forgotten without having let go must not be counted for ever.
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

// end counts the lease off, once.
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

// live reports whether somebody holds the frames.
func (h *handouts) live(s *shared) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(s.holders) > 0
}

// takeBack asks members that were sent nothing since the last look for n bytes, those
// of the users that hold most first, or those of one user. They give them back at once:
// their loops are not held up by their clients.
func (h *handouts) takeBack(n int64, of *recallUser, now time.Time) {
	h.mu.Lock()
	var stalled []*lease
	for l := range h.leases {
		past := l.past.Value()
		if past == nil || of != nil && l.user != of {
			continue
		}
		if at := past.At(); at != l.seen {
			l.seen, l.seenAt = at, now
		} else if now.Sub(l.seenAt) >= crowdedFor && l.take != nil {
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
