package ingest

import (
	"time"

	"tapecast/rooms/heartbeat"
)

// Beats are the readers' heartbeats. A turn is one batch of events, without the
// time for which the reader waits for Kafka, or for an appender to take it.
func (c *Consumer) Beats() []*heartbeat.Beat {
	out := make([]*heartbeat.Beat, 0, len(c.readers))
	for _, r := range c.readers {
		out = append(out, &r.beat)
	}
	return out
}

// Stand has the first reader stand for d. It is for tests of what watches the
// beats.
func (c *Consumer) Stand(d time.Duration) {
	r := c.readers[0]
	stand := func() {
		r.beat.Begin()
		time.Sleep(d)
		r.beat.End()
	}
	select {
	case r.cmds <- stand:
	case <-c.ctx.Done():
	}
}

// DeadLettersLost is how many bad records could not be stored as dead letters.
func (c *Consumer) DeadLettersLost() uint64 { return c.dead.lost.Load() }
