package ingest

import (
	"time"

	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

// Heartbeats returns the heartbeats of the readers, of the recaller and its lanes, and of the
// goroutines that look up times. A turn is one batch of events, one slice or one time. Time in
// which a goroutine waits for Kafka does not count, nor time in which a reader waits for an
// appender.
func (c *Consumer) Heartbeats() []*heartbeat.Counter {
	out := []*heartbeat.Counter{&c.recaller.heartbeat}
	for i := range c.recaller.lanes {
		out = append(out, &c.recaller.lanes[i].heartbeat)
	}
	for i := range c.times.heartbeats {
		out = append(out, &c.times.heartbeats[i])
	}
	for _, r := range c.readers {
		out = append(out, &r.heartbeat)
	}
	return out
}

// Stand blocks the first reader that long, to test the watchdog.
func (c *Consumer) Stand(d time.Duration) {
	r := c.readers[0]
	stand := func() {
		r.heartbeat.Begin()
		time.Sleep(d)
		r.heartbeat.End()
	}
	select {
	case r.cmds <- stand:
	case <-c.ctx.Done():
	}
}

// StandRecaller blocks the recaller that long, likewise.
func (c *Consumer) StandRecaller(d time.Duration) {
	r := &rooms.Recall{Pattern: &rooms.Pattern{Feed: c.topics[0].feed},
		Done: func(*rooms.Past, error) { time.Sleep(d) }}
	r.Drop()
	c.Recall(r)
}

// StandTimes blocks a goroutine that looks up times, likewise.
func (c *Consumer) StandTimes(d time.Duration) {
	p := &rooms.Pattern{Feed: c.topics[0].feed}
	c.PositionsAt(p, time.Now().UnixMilli(), "", func(rooms.Positions, error) { time.Sleep(d) })
}

// DeadLettersLost returns the number of bad records that could not be stored as dead letters.
func (c *Consumer) DeadLettersLost() uint64 { return c.dead.lost.Load() }
