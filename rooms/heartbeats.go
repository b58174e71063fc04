package rooms

import (
	"time"

	"tapecast/rooms/heartbeat"
)

// Heartbeats returns the appenders' heartbeats. A turn is one batch of records, or one request.
func (t *Table) Heartbeats() []*heartbeat.Counter {
	out := make([]*heartbeat.Counter, 0, len(t.shards))
	for _, s := range t.shards {
		out = append(out, &s.heartbeat)
	}
	return out
}

// Stand makes the first appender stand still for d. It is for tests of the watchdog.
func (t *Table) Stand(d time.Duration) {
	t.shards[0].box.ask(ask{do: func(*shard) { time.Sleep(d) }})
}
