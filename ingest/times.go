package ingest

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

const (
	// timeStep is the precision of a look-up. Clients that come back together ask for nearly
	// the same time, and each look-up is a request to Kafka.
	timeStep = 100 * time.Millisecond
	// timesKept and timesKeptFor are how many answers are kept, and for how long.
	timesKept    = 4096
	timesKeptFor = 5 * time.Second
	// timeLookups is how many look-ups run at once. Each request has one time for a partition.
	timeLookups = 4
	// maxTimes bounds the times that wait to be looked up, and maxUserTimes those of one
	// user: as many as one request may name.
	maxTimes     = 16_384
	maxUserTimes = 1024
	// endsFor is how long the ends of a topic are kept: the answer for times after the last record.
	endsFor = 100 * time.Millisecond
)

// times finds the positions of topics at a time. A few goroutines ask Kafka, once for all
// requests of the same time. Users have turns, so that a client with many times waits only for
// its own.
type times struct {
	c *Consumer

	mu         sync.Mutex
	stopped    bool
	waiting    map[timeAsked]*timeWaiting
	users      map[string]*timeUser // users with times in their queue
	turns      []*timeUser          // the same users, the next first
	known      map[timeAsked]timeKnown
	ends       map[*topic]timeEnds
	failed     map[*topic]time.Time // when Kafka last did not answer
	heartbeats [timeLookups]heartbeat.Counter
	free       []*heartbeat.Counter // heartbeats of goroutines that do not run
	refused    uint64
}

type timeAsked struct {
	t  *topic
	ms int64
}

// timeUser has the times that one user was the first to ask for.
type timeUser struct {
	name  string
	queue []timeAsked
}

type timeWaiting struct {
	since time.Time
	done  []func(timePositions, error)
}

type timePositions struct {
	at rooms.Positions
	// whole is a time, in ms since 1970. Kafka has surely deleted no record that is younger.
	whole int64
}

type timeKnown struct {
	timePositions
	until time.Time
}

type timeEnds struct {
	end map[int32]int64
	at  time.Time // when Kafka was asked
}

func newTimes(c *Consumer) *times {
	a := &times{
		c: c, waiting: map[timeAsked]*timeWaiting{}, users: map[string]*timeUser{},
		known: map[timeAsked]timeKnown{}, ends: map[*topic]timeEnds{}, failed: map[*topic]time.Time{},
	}
	for i := range a.heartbeats {
		a.heartbeats[i].Name = fmt.Sprintf("time look-up %d", i)
		a.free = append(a.free, &a.heartbeats[i])
	}
	return a
}

// PositionsAt finds the positions of a pattern's topic at a time, in ms since 1970. In each
// partition it is the offset before the first record of that time or later. In a partition
// without such a record it is the end. The look-up may be up to a tenth of a second early. If
// Kafka may have deleted records since then, the error is a *rooms.TooOldError. Its Oldest are
// the oldest positions left. PositionsAt does not block: done is called on a goroutine of the
// Consumer, or at once.
func (c *Consumer) PositionsAt(p *rooms.Pattern, ms int64, user string, done func(rooms.Positions, error)) {
	i := slices.IndexFunc(c.topics, func(t *topic) bool { return t.feed == p.Feed })
	if i < 0 {
		done(rooms.Positions{}, &rooms.TooOldError{Why: "no topic feeds the room"})
		return
	}
	err := c.times.add(timeAsked{c.topics[i], ms - ms%timeStep.Milliseconds()}, user, func(p timePositions, err error) {
		if err == nil && ms < p.whole {
			err = &rooms.TooOldError{Oldest: p.at, Why: "Kafka may have deleted messages since that time"}
		}
		done(p.at, err)
	})
	if err != nil {
		done(rooms.Positions{}, err)
	}
}

// add queues a time to be looked up. An error refuses it.
func (a *times) add(key timeAsked, user string, done func(timePositions, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return rooms.ErrStopped
	}
	w, u := a.waiting[key], a.users[user]
	switch {
	case w == nil && len(a.waiting) >= maxTimes:
		a.refused++
		return &rooms.NotNowError{Why: "too many times are being looked up", RetryAfter: 5 * recallRetry}
	case w == nil && u != nil && len(u.queue) >= maxUserTimes:
		a.refused++
		return &rooms.NotNowError{Why: "too many times are being looked up for the user", RetryAfter: 5 * recallRetry}
	case w == nil:
		w = &timeWaiting{since: time.Now()}
		a.waiting[key] = w
		if u == nil {
			u = &timeUser{name: user}
			a.users[user] = u
			a.turns = append(a.turns, u)
		}
		u.queue = append(u.queue, key)
	}
	w.done = append(w.done, done)
	// A running goroutine may block in an answer. So each new time starts another one, if one is free.
	if n := len(a.free); n > 0 && len(w.done) == 1 {
		counter := a.free[n-1]
		a.free = a.free[:n-1]
		a.c.ended.Go(func() { a.run(counter) })
	}
	return nil
}

// stats returns the number of times that wait, and of those that were refused.
func (a *times) stats() (waiting int, refused uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting), a.refused
}

// stop refuses later times. The goroutines that look up refuse the waiting ones.
func (a *times) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
}

func (a *times) run(counter *heartbeat.Counter) {
	for {
		counter.Begin()
		key, w, ok := a.next(counter)
		if !ok {
			return
		}
		counter.End() // find waits for Kafka
		at, err := a.find(key, w)
		counter.Begin()
		a.mu.Lock()
		delete(a.waiting, key)
		a.mu.Unlock()
		for _, done := range w.done {
			done(at, err)
		}
	}
}

// next takes the oldest time of the user whose turn it is; false: none waits.
func (a *times) next(counter *heartbeat.Counter) (key timeAsked, w *timeWaiting, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.turns) == 0 {
		counter.End()
		a.free = append(a.free, counter)
		return key, nil, false
	}
	u := a.turns[0]
	a.turns = a.turns[1:]
	key, u.queue = u.queue[0], u.queue[1:]
	if len(u.queue) > 0 {
		a.turns = append(a.turns, u)
	} else {
		delete(a.users, u.name)
	}
	return key, a.waiting[key], true
}

func (a *times) find(key timeAsked, w *timeWaiting) (timePositions, error) {
	epoch, parts := key.t.known()
	now := time.Now()
	a.mu.Lock()
	known, ok := a.known[key]
	failed := a.failed[key.t]
	a.mu.Unlock()
	switch {
	case a.c.ctx.Err() != nil:
		return timePositions{}, rooms.ErrStopped
	case ok && now.Before(known.until) && known.at.Epoch == epoch && len(known.at.Offsets) == len(parts):
		return known.timePositions, nil
	case epoch == "" || parts == nil:
		return timePositions{}, &rooms.NotNowError{
			Why: "the gateway has not read the room's topic yet", RetryAfter: recallRetry,
		}
	case now.Sub(failed) < recallRetry || now.Sub(w.since) > recallFor: // a look-up would only delay others
		return timePositions{}, errSlow
	}
	found, err := a.ask(key.t, key.ms, parts)
	if err != nil {
		a.mu.Lock()
		a.failed[key.t] = time.Now()
		a.mu.Unlock()
		if now.Sub(failed) > warnEvery {
			a.c.log.Warn("cannot look up a time", "topic", key.t.name, "error", err)
		}
		return timePositions{}, errSlow
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found.at.Epoch = epoch
	if len(a.known) >= timesKept {
		clear(a.known)
	}
	a.known[key] = timeKnown{found, now.Add(timesKeptFor)}
	return found, nil
}

func (a *times) ask(t *topic, ms int64, parts []int32) (found timePositions, err error) {
	// Ask for the ends first. Otherwise a record that is stored in between would be left out.
	end, err := a.endsOf(t, parts)
	if err != nil {
		return found, err
	}
	first, err := a.c.offsets(t, parts, kafka.NewOffsetSpecForTimestamp(ms), a.c.isolation())
	if err != nil {
		return found, err
	}
	for _, p := range parts {
		off, ok := first[p]
		if !ok {
			return found, fmt.Errorf("partition %d of topic %q has no leader", p, t.name)
		}
		if off < 0 { // no record is that young
			if off, ok = end[p]; !ok {
				return found, fmt.Errorf("partition %d of topic %q has no end", p, t.name)
			}
		}
		found.at.Offsets = append(found.at.Offsets, rooms.Pos{Partition: p, Offset: off - 1})
	}
	found.whole, err = a.wholeSince(t, parts, end)
	return found, err
}

// endsOf returns the ends of the partitions, at most endsFor old.
func (a *times) endsOf(t *topic, parts []int32) (map[int32]int64, error) {
	now := time.Now()
	a.mu.Lock()
	e := a.ends[t]
	a.mu.Unlock()
	if now.Sub(e.at) < endsFor && len(e.end) == len(parts) {
		return e.end, nil
	}
	end, err := a.c.offsets(t, parts, kafka.LatestOffsetSpec, a.c.isolation())
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.ends[t] = timeEnds{end, now}
	a.mu.Unlock()
	return end, nil
}

// wholeSince returns a time, in ms since 1970, such that Kafka has surely deleted no younger
// record of the partitions. It is 0 if nothing was ever deleted. It must be called last, so that
// records that are deleted meanwhile count.
func (a *times) wholeSince(t *topic, parts []int32, end map[int32]int64) (ms int64, err error) {
	low, err := a.c.offsets(t, parts, kafka.EarliestOffsetSpec, a.c.isolation())
	if err != nil {
		return 0, err
	}
	var cut []int32 // partitions that have lost something
	for _, p := range parts {
		if begin, ok := low[p]; !ok || begin < 0 {
			return 0, fmt.Errorf("partition %d of topic %q has no leader", p, t.name)
		} else if begin > 0 {
			cut = append(cut, p)
		}
	}
	if cut == nil {
		return 0, nil
	}
	// There may be no record at the log's start: compaction may have removed it.
	oldest, err := a.c.listOffsets(t, cut, kafka.NewOffsetSpecForTimestamp(0), a.c.isolation())
	if err != nil {
		return 0, err
	}
	for _, p := range cut {
		switch first, ok := oldest[p]; {
		case !ok:
			return 0, fmt.Errorf("partition %d of topic %q has no leader", p, t.name)
		case first.Offset >= 0 && first.Timestamp >= 0:
			ms = max(ms, first.Timestamp)
		default:
			ms = max(ms, t.quietSince(p, end[p]))
		}
	}
	return ms, nil
}

// quietSince returns a time, in ms since 1970, since which the partition has surely got no
// record. It is the time of the assignment if the partition had the same end then.
func (t *topic) quietSince(part int32, end int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(part) < len(t.parts) && t.parts[part] != nil && t.parts[part].end == end {
		return t.parts[part].begun
	}
	return math.MaxInt64
}
