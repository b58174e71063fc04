package server

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst of connections the runtime keeps as much garbage as there is live heap
// (GOGC=100) until that much has been allocated again. Pings alone take minutes for
// that. A node that has become quiet collects the garbage early and gives the pages back.
// So resident memory stays near what is live, and a busy node pays nothing.
const (
	trimEvery = 5 * time.Second
	// A node is quiet if it allocated less than this between two looks (or
	// a twentieth of its live heap): 1 MB/s. A collection is some 0.3 ms of
	// CPU a live megabyte.
	trimQuiet = 5 << 20
	// A trim is worth it for this much garbage (or an eighth of the live heap). Memory that is
	// freed while nothing is allocated, as when clients leave, is not counted. So there is a trim
	// every trimAnyway looks in any case.
	trimWorth  = 4 << 20
	trimAnyway = 12
)

// trimmer decides when a collection is worth its cost.
type trimmer struct {
	seen, trimmed uint64 // total bytes allocated, at the last look and at the last trim
	looks         int    // since the last trim
}

// due reports whether to trim now, given the bytes allocated in total and those that are live.
func (t *trimmer) due(allocated, live uint64) bool {
	since := allocated - t.seen
	t.seen = allocated
	t.looks++
	if since > max(trimQuiet, live/20) {
		return false
	}
	if allocated-t.trimmed < max(trimWorth, live/8) && t.looks < trimAnyway {
		return false
	}
	t.trimmed, t.looks = allocated, 0
	return true
}

// look gives memory back if the node has become quiet.
func (t *trimmer) look() {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if t.due(s[0].Value.Uint64(), s[1].Value.Uint64()) {
		debug.FreeOSMemory()
	}
}
