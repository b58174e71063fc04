package tiers

import (
	"fmt"
	"maps"
	"slices"
)

// Stats are the figures of a List.
type Stats struct {
	Read    bool   // the topic was read whole once
	Rows    int    // that hold
	Bad     int    // keys whose newest record does not hold
	BadText string // one of them, with its reason; "": all hold
	Lost    int    // records that do not hold since there are too many keys

	Records, BadRecords uint64 // that were read, also those read again
}

// Stats returns the figures. A nil List has none.
func (l *List) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	if l.now == nil {
		return s
	}
	s.Read, s.Lost = true, l.now.lost
	for _, name := range slices.Sorted(maps.Keys(l.now.rows)) {
		r := l.now.rows[name]
		if r.value != nil {
			s.Rows++
		}
		if r.bad == nil {
			continue
		}
		if s.Bad++; s.BadText == "" {
			s.BadText = fmt.Sprintf("key %q, partition %d, offset %d: %v", name, r.part, r.at, r.bad)
		}
	}
	return s
}
