package ingest

import (
	"slices"
	"testing"
)

// TestPartitionCountsForgotten: older partition counts of a topic are kept, so that records from
// before it grew are not misplaced. Beyond maxCounts the oldest count is forgotten.
func TestPartitionCountsForgotten(t *testing.T) {
	a := &topic{name: "a"}
	a.misplaced.partitions(2, true)
	for n := 3; n <= maxCounts+1; n++ {
		a.misplaced.partitions(n, false)
	}
	known := a.misplaced.known()
	if len(known) != maxCounts || !slices.Contains(known, 2) || a.misplaced.forgot.Load() != 0 {
		t.Errorf("at the bound: %v, %d forgotten", known, a.misplaced.forgot.Load())
	}
	a.misplaced.partitions(20, false)
	if known := a.misplaced.known(); len(known) != maxCounts || known[0] != 20 || slices.Contains(known, 2) {
		t.Errorf("over the bound: %v", known)
	}
	c := &Consumer{dead: &deadLetters{}, topics: []*topic{a}}
	if s := c.Stats(); s.Forgotten != 1 {
		t.Errorf("%d forgotten", s.Forgotten)
	}
	a.misplaced.partitions(3, true)
	if !slices.Equal(a.misplaced.known(), []int32{3}) || a.misplaced.forgot.Load() != 1 {
		t.Errorf("made again: %v, %d forgotten", a.misplaced.known(), a.misplaced.forgot.Load())
	}
}
