package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tapecast/rooms"
)

// errSlow is the error of a request that could not be served in time.
var errSlow error = &rooms.NotNowError{
	Why: "the messages could not be read from Kafka in time; try again", RetryAfter: recallRetry,
}

// warnEvery is the least time between two log lines about one topic's trouble.
const warnEvery = 10 * time.Second

// recallTopic is the recaller's state of a topic. It belongs to the recaller's goroutine.
type recallTopic struct {
	*topic
	epoch   string
	kept    map[int32][]*piece // by partition, in the order of offsets
	handed  map[string]*shared // by room: the last frames that were handed out
	records uint64             // records read again
	read    uint64             // bytes of them

	bounds  map[int32]bounds // of the topic's log, by partition
	at      time.Time        // when the look at bounds began
	wants   time.Time        // when a request came that needs later bounds; zero: none
	looking bool
	warned  time.Time // when the last warning was logged
	retryAt time.Time // Kafka is not asked before; zero: at once
	failed  int       // failures in a row
	reading bool      // a lane reads it
}

type boundsFound struct {
	topic  *recallTopic
	at     time.Time
	epoch  string
	bounds map[int32]bounds
	err    error
}

func (a *recaller) topic(t *topic) *recallTopic {
	k := a.topics[t]
	if k == nil {
		k = &recallTopic{topic: t, kept: map[int32][]*piece{}, handed: map[string]*shared{}}
		a.topics[t] = k
	}
	return k
}

// refresh has a request judged again, by bounds that are not older than the request.
func (k *recallTopic) refresh(w *asked) {
	w.judged = false
	if !k.at.After(w.came) {
		k.wants = w.came
	}
}

// look asks Kafka for the topic's bounds if a request needs them, on a goroutine of its own.
func (a *recaller) look(k *recallTopic, now time.Time) {
	if k.looking || k.wants.IsZero() {
		return
	}
	if now.Before(k.retryAt) {
		a.soon(k.retryAt)
		return
	}
	k.looking, k.wants = true, time.Time{}
	a.c.ended.Go(func() {
		found := boundsFound{topic: k, at: now}
		var parts []int32
		found.epoch, parts = k.topic.known()
		found.bounds, found.err = a.c.boundsOf(k.topic, parts, a.c.isolation())
		a.looked <- found
	})
}

// found takes the answer to a look. In another epoch it drops all kept records of the topic.
func (a *recaller) found(f boundsFound) {
	k := f.topic
	k.looking = false
	if f.err != nil {
		a.stumble(k, f.err)
		return
	}
	if f.epoch != k.epoch {
		a.bytes -= k.forget(func(*piece) bool { return true })
		clear(k.handed)
		k.epoch = f.epoch
	}
	k.bounds, k.at = f.bounds, f.at
	k.failed, k.retryAt = 0, time.Time{}
}

// stumble leaves a topic alone for a while after a failure, so that it does not delay the others.
func (a *recaller) stumble(k *recallTopic, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	k.failed++
	if now := time.Now(); now.Sub(k.warned) > warnEvery {
		k.warned = now
		a.c.log.Warn("cannot read records again yet", "topic", k.name, "error", err)
	}
	k.retryAt = time.Now().Add(min(100*time.Millisecond<<min(k.failed, 5), 2*time.Second))
	k.wants = time.Now() // for the requests that wait
	a.soon(k.retryAt)
}

// size returns the mean size of the topic's records. If too few were read, known is false.
func (k *recallTopic) size() (bytes float64, known bool) {
	n, sum := k.topic.records.Load()+k.records, k.topic.bytes.Load()+k.read
	if n < 16 {
		return 1024, false
	}
	return max(float64(sum)/float64(n), 1), true
}

func (k *recallTopic) weight() float64 {
	size, _ := k.size()
	return size + recordSize
}

func (w *asked) lacks() (list []stretch) {
	for i, p := range w.UpTo {
		if w.from[i] <= p.Offset {
			list = append(list, stretch{p.Partition, w.from[i], p.Offset + 1})
		}
	}
	return list
}

func (w *asked) lack() (n int64) {
	for i, p := range w.UpTo {
		n += max(p.Offset+1-w.from[i], 0)
	}
	return n
}

// judge returns an error if a request cannot be served.
func (k *recallTopic) judge(w *asked, now time.Time) (refusal, error) {
	size, known := k.size()
	budget := w.user.budget
	lacks := float64(w.lack()) * size
	old := func(format string, args ...any) error {
		return &rooms.TooOldError{Oldest: k.oldest(w, budget), Why: fmt.Sprintf(format, args...)}
	}
	for _, p := range w.UpTo {
		if b, ok := k.bounds[p.Partition]; !ok || b.low < 0 || b.high < 0 { // -1001: librdkafka got no answer
			return refusedSlow, errSlow // the partition has no leader now
		}
	}
	switch {
	case k.epoch != k.topic.feed.Epoch(): // the topic was made again after the look
		return refusedSlow, errSlow
	case w.Lost != "" && w.Epoch == k.epoch: // some appender has not begun that epoch yet
		return refusedSlow, errSlow
	case w.Lost != "":
		return refusedOld, old("%s", w.Lost)
	case w.Epoch != k.epoch:
		return refusedOld, old("they are of epoch %q, and the topic's is %q", w.Epoch, k.epoch)
	}
	for _, p := range w.After {
		b := k.bounds[p.Partition]
		switch {
		case p.Offset < b.low-1:
			return refusedOld, old("partition %d begins at offset %d by now", p.Partition, b.low)
		case p.Offset >= b.high && p.Offset > -1:
			return refusedOld, old("partition %d ends at offset %d, before it", p.Partition, b.high-1)
		}
	}
	if budget < 0 || w.More || w.Judged || !known {
		return 0, nil
	}
	w.user.refill(now)
	switch {
	case lacks > float64(budget):
		return refusedMuch, old("the messages since then have about %.0f bytes, "+
			"more than the gateway reads again for a user in a minute (%d)", lacks, budget)
	case lacks > max(w.user.left, 0) && lacks > 0:
		wait := w.user.until(int64(lacks))
		return refusedBudget, &rooms.NotNowError{
			Why:        "the user's budget for messages that are read again is used up",
			RetryAfter: wait.Round(time.Millisecond),
		}
	}
	return 0, nil
}

// oldest returns the oldest positions from which the request could be served: the start of
// Kafka's log, or as far before the end as nine tenths of the budget allow.
func (k *recallTopic) oldest(w *asked, budget int64) rooms.Positions {
	at := rooms.Positions{Epoch: k.epoch}
	var all float64
	for _, p := range w.UpTo {
		if b, ok := k.bounds[p.Partition]; ok {
			all += float64(max(p.Offset+1-b.low, 0))
		}
	}
	share := 1.0
	if size, known := k.size(); budget >= 0 && known && all*size > 0 {
		share = min(1, 0.9*float64(budget)/(all*size))
	}
	for _, p := range w.UpTo {
		low := k.bounds[p.Partition].low
		back := int64(share * float64(max(p.Offset+1-low, 0)))
		if off := p.Offset - back; share < 1 {
			low = max(low, off+1)
		}
		at.Offsets = append(at.Offsets, rooms.Pos{Partition: p.Partition, Offset: low - 1})
	}
	return at
}
