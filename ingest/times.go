package ingest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

const (
	// timeStep is how exactly a time is looked up: clients that come back together
	// ask for times that differ by little, and each look-up is a request to Kafka.
	timeStep = 100 * time.Millisecond
	// timesKept is how many answers are kept, and for how long.
	timesKept    = 4096
	timesKeptFor = 5 * time.Second
)

// times finds the places of topics at a time. One goroutine asks Kafka, once for
// all who ask for the same.
type times struct {
	c    *Consumer
	wake chan struct{}

	mu      sync.Mutex
	waiting map[timeAsked]*timeWaiting
	queue   []timeAsked

	// The goroutine's own.
	known map[timeAsked]timeKnown
}

type timeAsked struct {
	t  *topic
	ms int64
}

type timeWaiting struct {
	since time.Time
	done  []func(rooms.Positions, error)
}

type timeKnown struct {
	at    rooms.Positions
	until time.Time
}

func newTimes(c *Consumer) *times {
	return &times{c: c, wake: make(chan struct{}, 1), waiting: map[timeAsked]*timeWaiting{}, known: map[timeAsked]timeKnown{}}
}

// PositionsAt finds the place before the first record of a pattern's topic that
// is as young as ms (since 1970), a tenth of a second earlier at most; of a
// partition that has none, its end. It does not block: done is called on a
// goroutine of the Consumer's.
func (c *Consumer) PositionsAt(p *rooms.Pattern, ms int64, done func(rooms.Positions, error)) {
	i := slices.IndexFunc(c.topics, func(t *topic) bool { return t.feed == p.Feed })
	if i < 0 {
		done(rooms.Positions{}, &rooms.TooOldError{Why: "no topic feeds the room"})
		return
	}
	a, key := c.times, timeAsked{c.topics[i], ms - ms%timeStep.Milliseconds()}
	a.mu.Lock()
	if a.waiting == nil { // stopped
		a.mu.Unlock()
		done(rooms.Positions{}, rooms.ErrStopped)
		return
	}
	w := a.waiting[key]
	if w == nil {
		w = &timeWaiting{since: time.Now()}
		a.waiting[key] = w
		a.queue = append(a.queue, key)
	}
	w.done = append(w.done, done)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run serves requests until the Consumer is stopped.
func (a *times) run() {
	for {
		select {
		case <-a.wake:
		case <-a.c.ctx.Done():
		}
		for key, ok := a.first(); ok; key, ok = a.first() {
			at, err := a.find(key)
			a.mu.Lock()
			w := a.waiting[key]
			delete(a.waiting, key)
			a.mu.Unlock()
			for _, done := range w.done {
				done(at, err)
			}
		}
		if a.c.ctx.Err() != nil {
			a.mu.Lock()
			left := a.waiting
			a.waiting = nil
			a.mu.Unlock()
			for _, w := range left {
				for _, done := range w.done {
					done(rooms.Positions{}, rooms.ErrStopped)
				}
			}
			return
		}
	}
}

// first takes the request that has waited longest.
func (a *times) first() (key timeAsked, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		a.queue = nil
		return key, false
	}
	key = a.queue[0]
	a.queue = a.queue[1:]
	return key, true
}

func (a *times) find(key timeAsked) (rooms.Positions, error) {
	key.t.mu.Lock()
	epoch, n := key.t.epoch, len(key.t.parts)
	key.t.mu.Unlock()
	now := time.Now()
	if k, ok := a.known[key]; ok && now.Before(k.until) && k.at.Epoch == epoch {
		return k.at, nil
	}
	a.mu.Lock()
	late := now.Sub(a.waiting[key].since) > recallFor
	a.mu.Unlock()
	switch {
	case a.c.ctx.Err() != nil:
		return rooms.Positions{}, rooms.ErrStopped
	case epoch == "" || n == 0:
		return rooms.Positions{}, &rooms.NotNowError{Why: "the gateway has not read the room's topic yet", RetryAfter: time.Second}
	case late:
		return rooms.Positions{}, errSlow
	}
	at, err := a.ask(key.t, key.ms, n)
	if err != nil {
		a.c.log.Warn("cannot find the place of a time", "topic", key.t.name, "error", err)
		return rooms.Positions{}, errSlow
	}
	at.Epoch = epoch
	if len(a.known) >= timesKept {
		clear(a.known)
	}
	a.known[key] = timeKnown{at, now.Add(timesKeptFor)}
	return at, nil
}

// ask has Kafka look into its time index.
func (a *times) ask(t *topic, ms int64, n int) (at rooms.Positions, err error) {
	parts := make([]int32, n)
	for i := range parts {
		parts[i] = int32(i)
	}
	first, err := a.c.offsets(t, parts, kafka.NewOffsetSpecForTimestamp(ms), a.c.isolation())
	if err != nil {
		return at, err
	}
	end, err := a.c.offsets(t, parts, kafka.LatestOffsetSpec, a.c.isolation())
	if err != nil {
		return at, err
	}
	for _, p := range parts {
		off, ok := first[p]
		if !ok || off < 0 { // no record is as young
			if off, ok = end[p]; !ok {
				return at, fmt.Errorf("partition %d of topic %q has no end", p, t.name)
			}
		}
		at.Offsets = append(at.Offsets, rooms.Pos{Partition: p, Offset: off - 1})
	}
	return at, nil
}
