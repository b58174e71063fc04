package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst of connections the runtime keeps up to as much garbage as
// there is live heap (GOGC=100), for as long as nothing is allocated. A node
// that has become quiet collects it once and gives the pages back.
const (
	trimEvery = 5 * time.Second
	// trimQuiet is the share of the live heap that a quiet node allocates
	// between two looks, at most.
	trimQuiet = 0.05
	// trimWorth is how many bytes must have been allocated since the last trim.
	trimWorth = 4 << 20
)

// trimmer decides when the heap is worth a collection.
type trimmer struct{ seen, trimmed uint64 } // bytes allocated in all, at the last look and at the last trim

// due is told how much was allocated in all and how much is live.
func (t *trimmer) due(allocated, live uint64) bool {
	since := allocated - t.seen
	t.seen = allocated
	if float64(since) > trimQuiet*float64(live) || allocated-t.trimmed < trimWorth {
		return false
	}
	t.trimmed = allocated
	return true
}

// trim gives memory back whenever the node has become quiet, until ctx ends.
func trim(ctx context.Context) {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var t trimmer
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			metrics.Read(s)
			if t.due(s[0].Value.Uint64(), s[1].Value.Uint64()) {
				debug.FreeOSMemory()
			}
		}
	}
}
