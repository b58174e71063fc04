package loop

import (
	"time"

	"tapecast/rooms"
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

// recall answers as if it had read the topic again; a place that the topic has
// not reached is too old.
func (w *world) recall(r *rooms.Recall) {
	go func() {
		if w.hold != nil {
			<-w.hold
			<-w.hold
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.away {
			r.Done(nil, &rooms.NotNowError{Why: "the topic is away", RetryAfter: time.Second})
			return
		}
		if r.After[0].Offset >= w.off {
			r.Done(nil, &rooms.TooOldError{Why: "the topic is shorter"})
			return
		}
		if r.After[0].Offset < w.low-1 {
			oldest := rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Partition: 0, Offset: w.low - 1}}}
			r.Done(nil, &rooms.TooOldError{Why: "the topic begins later", Oldest: oldest})
			return
		}
		r.Done(rooms.NewPast(r.Pattern, r.Room, w.all[r.Room], nil), nil)
	}()
}
