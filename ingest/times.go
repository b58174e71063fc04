package ingest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

const (
	// timeStep is how exactly a time is looked up: clients that come back together
	// ask for times that differ by little, and each look-up is a request to Kafka.
	timeStep = 100 * time.Millisecond
	// timesKept is how many answers are kept, and for how long.
	timesKept    = 4096
	timesKeptFor = 5 * time.Second
	// timeLookups run at once: librdkafka takes one time of a partition in a request.
	timeLookups = 4
	// maxTimes is how many times may wait to be looked up, and maxUserTimes how many of
	// one user: as many as one request may name.
	maxTimes     = 16_384
	maxUserTimes = 1024
	// endsFor is how long the ends of a topic are good for, which stand for times that no
	// record is as young as.
	endsFor = 100 * time.Millisecond
)

// times finds the places of topics at a time. A few goroutines ask Kafka, once for all
// that ask for the same; users have turns, so that a client that asks for many times
// waits for its own.
type times struct {
	c *Consumer

	mu      sync.Mutex
	stopped bool
	waiting map[timeAsked]*timeWaiting
	users   map[string]*timeUser // that wait for something
	turns   []*timeUser          // the same, the next first
	known   map[timeAsked]timeKnown
	ends    map[*topic]timeEnds
	failed  map[*topic]time.Time
	beats   [timeLookups]heartbeat.Beat
	free    []*heartbeat.Beat // of those that do not run
	refused uint64
}

type timeAsked struct {
	t  *topic
	ms int64
}

// timeUser is the times that one user waits for and nobody asked for before it.
type timeUser struct {
	name  string
	queue []timeAsked
}

type timeWaiting struct {
	since time.Time
	done  []func(timePlace, error)
}

// timePlace is the place of a time.
type timePlace struct {
	at rooms.Positions
	// whole is the earliest time, in ms since 1970, since which Kafka surely has deleted nothing.
	whole int64
}

type timeKnown struct {
	timePlace
	until time.Time
}

// timeEnds is where a topic's partitions ended when they were asked for at.
type timeEnds struct {
	end map[int32]int64
	at  time.Time
}

func newTimes(c *Consumer) *times {
	a := &times{
		c: c, waiting: map[timeAsked]*timeWaiting{}, users: map[string]*timeUser{},
		known: map[timeAsked]timeKnown{}, ends: map[*topic]timeEnds{}, failed: map[*topic]time.Time{},
	}
	for i := range a.beats {
		a.beats[i].Name = fmt.Sprintf("time look-up %d", i)
		a.free = append(a.free, &a.beats[i])
	}
	return a
}

// PositionsAt finds the place before the first record of a pattern's topic that
// is as young as ms (since 1970), a tenth of a second earlier at most; of a
// partition that has none, its end. Where Kafka may have deleted records since then, the
// error is a *rooms.TooOldError, whose Oldest is where those that are left begin. It does
// not block: done is called on a goroutine of the Consumer's, or at once.
func (c *Consumer) PositionsAt(p *rooms.Pattern, ms int64, user string, done func(rooms.Positions, error)) {
	i := slices.IndexFunc(c.topics, func(t *topic) bool { return t.feed == p.Feed })
	if i < 0 {
		done(rooms.Positions{}, &rooms.TooOldError{Why: "no topic feeds the room"})
		return
	}
	err := c.times.add(timeAsked{c.topics[i], ms - ms%timeStep.Milliseconds()}, user, func(p timePlace, err error) {
		if err == nil && ms < p.whole {
			err = &rooms.TooOldError{Oldest: p.at, Why: "Kafka may have deleted messages since that time"}
		}
		done(p.at, err)
	})
	if err != nil {
		done(rooms.Positions{}, err)
	}
}

// add has a time looked up, or says why it is not.
func (a *times) add(key timeAsked, user string, done func(timePlace, error)) error {
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
	// One that looks up may stand where it answers, so it is not counted on for what comes new.
	if n := len(a.free); n > 0 && len(w.done) == 1 {
		beat := a.free[n-1]
		a.free = a.free[:n-1]
		a.c.ended.Go(func() { a.run(beat) })
	}
	return nil
}

// stats is how many times wait, and how many were refused.
func (a *times) stats() (waiting int, refused uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting), a.refused
}

// stop refuses what comes from now on; what waits is refused by those that look up.
func (a *times) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
}

// run looks up times until none waits.
func (a *times) run(beat *heartbeat.Beat) {
	for {
		beat.Begin()
		key, w, ok := a.next(beat)
		if !ok {
			return
		}
		beat.End() // it waits for Kafka
		at, err := a.find(key, w)
		beat.Begin()
		a.mu.Lock()
		delete(a.waiting, key)
		a.mu.Unlock()
		for _, done := range w.done {
			done(at, err)
		}
	}
}

// next takes the time whose turn it is, the user's oldest; false: there is none.
func (a *times) next(beat *heartbeat.Beat) (key timeAsked, w *timeWaiting, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.turns) == 0 {
		beat.End()
		a.free = append(a.free, beat)
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

func (a *times) find(key timeAsked, w *timeWaiting) (timePlace, error) {
	key.t.mu.Lock()
	epoch, n := key.t.epoch, len(key.t.parts)
	key.t.mu.Unlock()
	now := time.Now()
	a.mu.Lock()
	known, ok := a.known[key]
	failed := a.failed[key.t]
	a.mu.Unlock()
	switch {
	case a.c.ctx.Err() != nil:
		return timePlace{}, rooms.ErrStopped
	case ok && now.Before(known.until) && known.at.Epoch == epoch && len(known.at.Offsets) == n:
		return known.timePlace, nil
	case epoch == "" || n == 0:
		return timePlace{}, &rooms.NotNowError{
			Why: "the gateway has not read the room's topic yet", RetryAfter: recallRetry,
		}
	case now.Sub(failed) < recallRetry || now.Sub(w.since) > recallFor: // it would only hold up others
		return timePlace{}, errSlow
	}
	place, err := a.ask(key.t, key.ms, n)
	if err != nil {
		a.mu.Lock()
		a.failed[key.t] = time.Now()
		a.mu.Unlock()
		if now.Sub(failed) > warnEvery {
			a.c.log.Warn("cannot find the place of a time", "topic", key.t.name, "error", err)
		}
		return timePlace{}, errSlow
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	place.at.Epoch = epoch
	if len(a.known) >= timesKept {
		clear(a.known)
	}
	a.known[key] = timeKnown{place, now.Add(timesKeptFor)}
	return place, nil
}

// ask has Kafka look into its time index.
func (a *times) ask(t *topic, ms int64, n int) (place timePlace, err error) {
	parts := make([]int32, n)
	for i := range parts {
		parts[i] = int32(i)
	}
	// The ends come first: a record that is stored in between would else be left out.
	end, err := a.endsOf(t, parts)
	if err != nil {
		return place, err
	}
	first, err := a.c.offsets(t, parts, kafka.NewOffsetSpecForTimestamp(ms), a.c.isolation())
	if err != nil {
		return place, err
	}
	for _, p := range parts {
		off, ok := first[p]
		if !ok {
			return place, fmt.Errorf("nobody leads partition %d of topic %q", p, t.name)
		}
		if off < 0 { // no record is as young
			if off, ok = end[p]; !ok {
				return place, fmt.Errorf("partition %d of topic %q has no end", p, t.name)
			}
		}
		place.at.Offsets = append(place.at.Offsets, rooms.Pos{Partition: p, Offset: off - 1})
	}
	place.whole, err = a.wholeSince(t, parts, end)
	return place, err
}

// endsOf is where the partitions end, or ended a moment ago.
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
