package job

import "testing"

// Before agrees with Due, over several rounds, with bursts at both ends of a round.
func TestRound(t *testing.T) {
	r := &Round{Due: []int64{0, 0, 5, 7, 7, 7, 30}, Period: 30}
	s := Schedule{Start: 1000}
	s.Follow(r)
	for at := int64(990); at < 1200; at++ {
		var want int64
		for s.Due(want) <= at {
			want++
		}
		if got := s.Before(at); got != want {
			t.Fatalf("Before(%d) = %d, not %d", at, got, want)
		}
	}
	if most := (&Round{Due: []int64{0, 1, 999_999_999, 1_000_000_000, 1_000_000_001}}).Busiest(); most != 3 {
		t.Errorf("%d in the busiest second", most)
	}
	s = Schedule{}
	if s.Follow(&Round{}); s.round != nil {
		t.Error("a round that says no times is followed")
	}
}
