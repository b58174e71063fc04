package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

const (
	// gatherFor is how long the first of several requests waits for others: clients
	// that lost a node come together.
	gatherFor = 20 * time.Millisecond
	// keepFor is how long what was read again is kept after it was last asked for.
	keepFor = 30 * time.Second
	// recallFor is how long a request waits at most, for its turn and its records.
	recallFor = 15 * time.Second
	// crowdedFor is how long nothing is read while members are being sent as much as
	// memory allows: those who stall would hold more and more.
	crowdedFor = 250 * time.Millisecond
	// defaultRecall bounds what is kept of records read again, in bytes.
	defaultRecall = 256 << 20
	// recordSize is what a record that is kept takes besides its bytes.
	recordSize = 160
)

// recaller reads again what tapes no longer hold. One goroutine does it for all
// who ask: a partition is read once, from the oldest place asked for, and is
// routed once into all its rooms.
type recaller struct {
	c    *Consumer
	wake chan struct{}

	mu      sync.Mutex
	waiting []waitingRecall

	// The goroutine's own.
	topics map[*topic]*recalled
	client *recallClient // nil: not needed for a while
	bytes  int64

	handed atomic.Int64 // bytes of what was given to members, until the last has been sent it

	figures struct{ asked, refused, reads, records, bytes, kept atomic.Uint64 }
}

type waitingRecall struct {
	*rooms.Recall
	since time.Time
}

// RecallStats are the figures of what was read again.
type RecallStats struct {
	Asked   uint64 // by members that resume
	Refused uint64 // too old, too much, or Kafka was away
	Reads   uint64 // stretches of a partition
	Records uint64
	Bytes   uint64 // of their keys and values
	Kept    uint64 // bytes now
	Handed  uint64 // bytes of frames made of them, until nobody is being sent them
	Waiting int    // requests now
}

func newRecaller(c *Consumer) *recaller {
	return &recaller{c: c, wake: make(chan struct{}, 1), topics: map[*topic]*recalled{}}
}

// Recall reads a stretch of a topic again for one room. It does not block.
func (c *Consumer) Recall(r *rooms.Recall) {
	a := c.recaller
	a.figures.asked.Add(1)
	a.again([]waitingRecall{{r, time.Now()}})
}

// RecallStats returns the figures.
func (c *Consumer) RecallStats() RecallStats {
	a := c.recaller
	a.mu.Lock()
	waiting := len(a.waiting)
	a.mu.Unlock()
	f := &a.figures
	return RecallStats{Asked: f.asked.Load(), Refused: f.refused.Load(), Reads: f.reads.Load(), Records: f.records.Load(),
		Bytes: f.bytes.Load(), Kept: f.kept.Load(), Handed: uint64(a.handed.Load()), Waiting: waiting}
}

// run serves requests until the Consumer is stopped.
func (a *recaller) run() {
	defer a.closeClient()
	tidy := time.NewTicker(keepFor / 4)
	defer tidy.Stop()
	for {
		select {
		case <-a.c.ctx.Done():
			a.serve(func(w waitingRecall, _ *topic) { a.refuse(w, rooms.ErrStopped) })
			return
		case <-tidy.C:
			a.tidy()
			continue
		case <-a.wake:
		}
		select {
		case <-time.After(gatherFor):
		case <-a.c.ctx.Done():
		}
		byTopic := map[*topic][]waitingRecall{}
		a.serve(func(w waitingRecall, t *topic) { byTopic[t] = append(byTopic[t], w) })
		if a.handed.Load() > a.c.cfg.RecallMemory {
			a.forget()
			runtime.GC() // nothing else tells that the last member has let go
			for _, list := range byTopic {
				a.queue(list)
			}
			time.AfterFunc(crowdedFor, a.poke)
			continue
		}
		for t, list := range byTopic {
			a.answer(t, list)
		}
	}
}

// serve takes the requests that wait and have not waited for too long.
func (a *recaller) serve(visit func(waitingRecall, *topic)) {
	a.mu.Lock()
	list := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	for _, w := range list {
		i := slices.IndexFunc(a.c.topics, func(t *topic) bool { return t.feed == w.Pattern.Feed })
		switch {
		case i < 0:
			a.refuse(w, &rooms.TooOldError{Why: "no topic feeds the room"})
		case time.Since(w.since) > recallFor:
			a.refuse(w, errSlow)
		default:
			visit(w, a.c.topics[i])
		}
	}
}

func (a *recaller) refuse(w waitingRecall, err error) {
	a.figures.refused.Add(1)
	w.Done(nil, err)
}

// answer reads what the requests of one topic need together, and answers them.
func (a *recaller) answer(t *topic, list []waitingRecall) {
	k, low, high, err := a.bounds(t)
	if err != nil {
		a.c.log.Warn("cannot read records again yet", "topic", t.name, "error", err)
		a.again(list)
		return
	}
	var good, later []waitingRecall
	var want []stretch
	for _, w := range list {
		switch err := k.check(w.Recall, low, high); {
		case errors.Is(err, errSlow):
			later = append(later, w)
			continue
		case err != nil:
			a.refuse(w, err)
			continue
		}
		good = append(good, w)
		for i, after := range w.After {
			want = widen(want, stretch{after.Partition, after.Offset + 1, w.UpTo[i].Offset + 1})
		}
	}
	if len(later) > 0 {
		a.c.log.Warn("cannot read records again yet", "topic", t.name, "error", "a partition has no leader, or it does not answer")
		a.again(later)
	}
	ctx, cancel := context.WithTimeout(a.c.ctx, recallFor)
	defer cancel()
	kept := a.bytes
	err = a.fill(ctx, t, k, want)
	if errors.As(err, new(*rooms.TooOldError)) && kept > 0 { // perhaps there is room without what others have left
		a.forget()
		if k, _, _, err = a.bounds(t); err == nil {
			err = a.fill(ctx, t, k, want)
		}
	}
	if err != nil {
		a.c.log.Warn("cannot read records again", "topic", t.name, "error", err)
	}
	for _, w := range good {
		if err != nil {
			a.refuse(w, err)
			continue
		}
		w.Done(a.past(k, w.Pattern, w.Room), nil)
	}
	a.figures.kept.Store(uint64(a.bytes))
}

// again has requests wait for another turn, until they have waited for too long:
// a broker that does not answer for a second may well be back the next.
func (a *recaller) again(list []waitingRecall) {
	a.queue(list)
	a.poke()
}

func (a *recaller) queue(list []waitingRecall) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, list...)
}

func (a *recaller) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// bounds is what is kept of the topic's epoch, and where its partitions begin and end.
func (a *recaller) bounds(t *topic) (k *recalled, low, high map[int32]int64, err error) {
	t.mu.Lock()
	epoch, n := t.epoch, len(t.parts)
	t.mu.Unlock()
	parts := make([]int32, n)
	for i := range parts {
		parts[i] = int32(i)
	}
	if low, err = a.c.offsets(t, parts, kafka.EarliestOffsetSpec, a.c.isolation()); err != nil {
		return nil, nil, nil, err
	}
	if high, err = a.c.offsets(t, parts, kafka.LatestOffsetSpec, a.c.isolation()); err != nil {
		return nil, nil, nil, err
	}
	k = a.topics[t]
	if k == nil || k.epoch != epoch {
		if k != nil {
			a.bytes -= k.bytes
		}
		k = &recalled{topic: t, epoch: epoch, parts: map[int32]*recalledPart{}}
		a.topics[t] = k
	}
	k.used = time.Now()
	return k, low, high, nil
}

// fill reads the parts of the stretches that are not kept yet.
func (a *recaller) fill(ctx context.Context, t *topic, k *recalled, want []stretch) error {
	for _, down := range []bool{true, false} {
		var read []stretch
		for _, w := range want {
			if s := k.missing(w, down); s.from < s.to {
				read = append(read, s)
			}
		}
		if len(read) == 0 {
			continue
		}
		if a.client == nil {
			client, err := newRecallClient(a.c)
			if err != nil {
				return err
			}
			a.client = client
		}
		began, before := time.Now(), a.figures.records.Load()
		err := a.client.read(ctx, a, k, read)
		if err != nil {
			a.closeClient()
			a.bytes -= k.bytes
			delete(a.topics, t)
			return err
		}
		a.c.log.Log(ctx, slog.LevelInfo, "records read again", "topic", t.name, "partitions", len(read),
			"records", a.figures.records.Load()-before, "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// forget lets go of all that is kept.
func (a *recaller) forget() {
	clear(a.topics)
	a.bytes = 0
	a.figures.kept.Store(0)
}

// tidy forgets what nobody has asked for in a while.
func (a *recaller) tidy() {
	for t, k := range a.topics {
		if time.Since(k.used) > keepFor {
			a.bytes -= k.bytes
			delete(a.topics, t)
		}
	}
	if len(a.topics) == 0 {
		a.closeClient()
	}
	a.figures.kept.Store(uint64(a.bytes))
}

func (a *recaller) closeClient() {
	if a.client != nil {
		a.client.close()
		a.client = nil
	}
}

// room says whether so much more may be kept.
func (a *recaller) room(k *recalled, n int64) error {
	k.bytes += n
	if a.bytes += n; a.bytes > a.c.cfg.RecallMemory {
		return &rooms.TooOldError{Why: fmt.Sprintf("what came after is more than the gateway reads again, which is %d bytes for all", a.c.cfg.RecallMemory)}
	}
	return nil
}
