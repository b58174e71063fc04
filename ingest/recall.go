package ingest

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

const (
	// gatherFor is how long the first request waits: clients that lost a node come together.
	gatherFor = 20 * time.Millisecond
	// keepFor is how long records are kept after the last request for them.
	keepFor = 30 * time.Second
	// recallFor is how long a request waits at most, for its turn and its records.
	recallFor = 15 * time.Second
	// crowdedFor is how long a member that is sent nothing may hold memory that others need.
	crowdedFor = 250 * time.Millisecond
	// heldFor is how long a member may hold it that is sent something. One that is sent a frame now and then,
	// as its client reads or its limit allows, would hold it for hours. Those that wait for it do so for
	// recallFor.
	heldFor = 2 * recallFor / 3
	// recallRetry is the retryAfter of a request that was refused for passing trouble.
	recallRetry = time.Second
	// recordSize is the memory of a kept record besides its bytes.
	recordSize = 160
	// maxRecalls bounds the requests that wait, and maxUserRecalls those of one user:
	// four joins of as many rooms as one request may name. One takes some 400 bytes.
	maxRecalls     = 200_000
	maxUserRecalls = 4096
)

// recaller reads records again that tapes no longer hold, in slices. Each turn reads a bounded
// stretch of one topic, for users that had no turn in this round and lack least. The members get
// their rooms' frames of it. A member that lacks more asks again when it has been sent these.
//
// The goroutine of run owns it, except fields that are atomic or under mu.
type recaller struct {
	c         *Consumer
	heartbeat heartbeat.Counter
	wake      chan struct{}
	// looked brings the ends of topics. It has room for one answer of each topic, and a topic
	// is looked at by one goroutine at most.
	looked chan boundsFound
	// done brings the reads of lanes. It has room for one of each lane.
	done chan *recallRead

	waiting atomic.Int64 // requests without an answer yet
	handed  handouts

	mu      sync.Mutex // guards the two fields below
	fresh   []*asked   // requests since the last turn
	stopped bool

	// The goroutine's own.
	topics map[*topic]*recallTopic
	users  map[string]*recallUser
	asked  []*asked
	lanes  [recallLanes]recallLane
	idle   []*recallLane // lanes that do not read
	bytes  int64         // memory of all kept records
	round  uint64        // each user has one turn in a round
	turns  uint64
	next   time.Time // when to look again; zero: at the next request

	figures recallFigures
}

// asked is one request, for one room.
type asked struct {
	*rooms.Recall
	user   *recallUser
	topic  *recallTopic
	begun  time.Time           // when it came
	came   time.Time           // when it began to wait for its present turn
	judged bool                // it may be served
	late   bool                // it waits for its user's budget
	from   []int64             // the first offset that it lacks, by index in After
	names  map[string]struct{} // if it asks for names: the names found so far

	reading bool // a lane reads for it
}

func newRecaller(c *Consumer) *recaller {
	a := &recaller{
		heartbeat: heartbeat.Counter{Name: "recaller"},
		c:         c, wake: make(chan struct{}, 1), topics: map[*topic]*recallTopic{}, users: map[string]*recallUser{},
	}
	a.handed.wake = a.poke
	a.openLanes()
	return a
}

// Recall asks for a stretch of a topic to be read again for one room. It does not block.
func (c *Consumer) Recall(r *rooms.Recall) {
	a := c.recaller
	a.figures.asked.Add(1)
	n, now := a.waiting.Add(1), time.Now()
	w := &asked{Recall: r, begun: now, came: now, from: make([]int64, len(r.After))}
	for i, p := range r.After {
		w.from[i] = max(p.Offset, -1) + 1
	}
	if n > maxRecalls {
		a.refuse(w, refusedCrowd, &rooms.NotNowError{Why: "too many clients resume", RetryAfter: 5 * recallRetry})
		return
	}
	a.mu.Lock()
	stopped := a.stopped
	if !stopped {
		a.fresh = append(a.fresh, w)
	}
	a.mu.Unlock()
	if stopped {
		a.refuse(w, refusedStopped, rooms.ErrStopped)
		return
	}
	a.poke()
}

func (a *recaller) poke() { wake(a.wake) }

func (a *recaller) answer(w *asked, past *rooms.Past) {
	a.waiting.Add(-1)
	w.Done(past, nil)
}

func (a *recaller) refuse(w *asked, why refusal, err error) {
	a.waiting.Add(-1)
	a.figures.refused[why].Add(1)
	w.Refuse(err)
}

// run serves requests until the Consumer is stopped.
func (a *recaller) run() {
	defer a.heartbeat.End()
	defer a.closeLanes()
	a.looked = make(chan boundsFound, len(a.c.topics))
	tidy := time.NewTicker(keepFor / 4)
	defer tidy.Stop()
	for {
		a.heartbeat.End()
		select {
		case <-a.c.ctx.Done():
			a.stop()
			return
		case <-tidy.C:
			a.heartbeat.Begin()
			a.tidy(time.Now())
			continue
		case b := <-a.looked:
			a.found(b)
		case r := <-a.done:
			a.heartbeat.Begin()
			a.read(r)
		case <-time.After(a.untilNext()):
		case <-a.wake:
			if len(a.asked) == 0 && !a.goesOn() {
				select {
				case <-time.After(gatherFor):
				case <-a.c.ctx.Done():
				}
			}
		}
		for more := true; more && a.c.ctx.Err() == nil; {
			a.heartbeat.Begin()
			a.takeOver()
			a.takeLooks()
			more = a.turn()
		}
	}
}

// goesOn reports whether some new request is the rest of an earlier one, or the next of a join. It came
// when its member had been sent the part before, or the room before was answered, so no others come with it.
func (a *recaller) goesOn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.fresh, func(w *asked) bool { return w.More || w.Next })
}

// untilNext returns the time until the next look.
func (a *recaller) untilNext() time.Duration {
	if len(a.asked) == 0 {
		return time.Hour
	}
	wait := time.Second // to refuse requests that have waited for too long
	if !a.next.IsZero() {
		wait = min(wait, time.Until(a.next))
	}
	return max(wait, time.Millisecond)
}

// soon moves the next look to an earlier time.
func (a *recaller) soon(t time.Time) {
	if a.next.IsZero() || t.Before(a.next) {
		a.next = t
	}
}

// stop refuses all requests, and later ones.
func (a *recaller) stop() {
	a.mu.Lock()
	a.stopped = true
	list := a.fresh
	a.fresh = nil
	a.mu.Unlock()
	for _, w := range append(list, a.asked...) {
		a.refuse(w, refusedStopped, rooms.ErrStopped)
	}
	a.asked = nil
}

// takeOver takes the fresh requests.
func (a *recaller) takeOver() {
	a.mu.Lock()
	list := a.fresh
	a.fresh = nil
	a.mu.Unlock()
	for _, w := range list {
		i := slices.IndexFunc(a.c.topics, func(t *topic) bool { return t.feed == w.Pattern.Feed })
		if i < 0 {
			a.refuse(w, refusedOld, &rooms.TooOldError{Why: "no topic feeds the room"})
			continue
		}
		u := a.user(w.Payer)
		if u.waiting >= maxUserRecalls {
			a.refuse(w, refusedCrowd, &rooms.NotNowError{
				Why: "the user resumes in too many rooms at once", RetryAfter: 5 * recallRetry,
			})
			continue
		}
		u.waiting++
		w.user, w.topic = u, a.topic(a.c.topics[i])
		w.topic.refresh(w)
		a.asked = append(a.asked, w)
	}
}

// takeLooks takes answers to looks, and reads, between two slices. A small request must not wait
// to be judged until all requests that were judged before it are served.
func (a *recaller) takeLooks() {
	for {
		select {
		case b := <-a.looked:
			a.found(b)
		case r := <-a.done:
			a.read(r)
		default:
			return
		}
	}
}

// tidy forgets records without a request for keepFor, and users with nothing to count. It closes
// the clients if nothing is kept and nobody asks.
func (a *recaller) tidy(now time.Time) {
	for _, k := range a.topics {
		a.bytes -= k.forget(func(p *piece) bool { return now.Sub(p.used) > keepFor })
		maps.DeleteFunc(k.handed, func(_ string, s *shared) bool { return !a.handed.live(s) })
	}
	for name, u := range a.users {
		if u.idle(now) && a.handed.of(u) == 0 {
			delete(a.users, name)
		}
	}
	a.figures.users.Store(int64(len(a.users)))
	a.figures.kept.Store(uint64(a.bytes))
	if a.bytes == 0 && len(a.asked) == 0 {
		a.closeClients()
	}
}

// makeRoom forgets the pieces that were used longest ago, until that many more bytes may be kept.
func (a *recaller) makeRoom(n int64) {
	for a.bytes > 0 && a.bytes+n > a.c.cfg.RecallMemory {
		var oldest *piece
		for _, k := range a.topics {
			for _, list := range k.kept {
				for _, p := range list {
					if oldest == nil || p.used.Before(oldest.used) {
						oldest = p
					}
				}
			}
		}
		for _, k := range a.topics {
			a.bytes -= k.forget(func(p *piece) bool { return p == oldest })
		}
	}
	a.figures.kept.Store(uint64(a.bytes))
}

// slice is about how many bytes of memory one user's turn reads. A turn with others reads at most
// twice as many. That is small beside the memory of all, and large beside librdkafka's cost to
// start at another offset.
func (a *recaller) slice() int64 { return min(max(a.c.cfg.RecallMemory/32, 64<<10), 4<<20) }
