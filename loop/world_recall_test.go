package loop

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

func (w *world) setAway(away bool) {
	w.mu.Lock()
	w.away = away
	w.mu.Unlock()
}

// setLow has the topic forget what is before an offset.
func (w *world) setLow(off int64) {
	w.mu.Lock()
	w.low = off
	w.mu.Unlock()
}

// published is how many records were.
func (w *world) published() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.off)
}

// awaitPublished waits until n records were published. Any goroutine may call it.
func (w *world) awaitPublished(n int) {
	if !testwait.Holds(testwait.Patience, func() bool { return w.published() >= n }) {
		w.t.Errorf("%d records were published, not %d", w.published(), n)
	}
}

// awaitMore waits until n more records were published, or all there will be.
func (w *world) awaitMore(n, all int) { w.awaitPublished(min(w.published()+n, all)) }

// paid returns what reads records again; nil: recall. Each request must bring its payer, with the limits
// of the payer's tier: those who read count by them.
func (w *world) paid(read func(*rooms.Recall)) func(*rooms.Recall) {
	if read == nil {
		read = w.recall
	}
	return func(r *rooms.Recall) {
		if r.Payer != worldPays {
			w.t.Errorf("%+v pays for what %q lacks, want %+v", r.Payer, r.Room, worldPays)
		}
		read(r)
	}
}

// recall answers as if it had read the topic again; a position that the topic has
// not reached is too old.
func (w *world) recall(r *rooms.Recall) {
	go func() {
		if w.hold != nil {
			<-w.hold
			<-w.hold
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		err := w.refuses(r)
		if r.Names != nil {
			var names []string
			for room, list := range w.all {
				in := func(x rooms.Record) bool { return x.Offset > r.After[0].Offset && x.Offset <= r.UpTo[0].Offset }
				if strings.HasPrefix(room, r.Room) && slices.ContainsFunc(list, in) && err == nil {
					names = append(names, room)
				}
			}
			r.Names(names, err)
			return
		}
		if err != nil {
			r.Done(nil, err)
			return
		}
		r.Done(rooms.NewPast(r.Pattern, r.Room, w.all[r.Room], nil), nil)
	}()
}

// refuses says why what is asked for cannot be had.
func (w *world) refuses(r *rooms.Recall) error {
	switch {
	case w.away, w.fickle > 0 && rand.IntN(w.fickle) == 0:
		return &rooms.NotNowError{Why: "the topic is away", RetryAfter: time.Second}
	case r.Lost != "":
		return &rooms.TooOldError{Why: r.Lost}
	case r.After[0].Offset >= w.off+w.ahead:
		return &rooms.TooOldError{Why: "the topic is shorter"}
	case r.After[0].Offset < w.low-1:
		oldest := rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Partition: 0, Offset: w.low - 1}}}
		return &rooms.TooOldError{Why: "the topic begins later", Oldest: oldest}
	}
	return nil
}

// positionsOf reads epoch:offset:offset…, by partition.
func positionsOf(s string) rooms.Positions {
	at := strings.Split(s, ":")
	since := rooms.Positions{Epoch: at[0]}
	for i, s := range at[1:] {
		off, _ := strconv.ParseInt(s, 10, 64)
		since.Offsets = append(since.Offsets, rooms.Pos{Partition: int32(i), Offset: off})
	}
	return since
}
