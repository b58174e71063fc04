package survey

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSurvey: a question is on its way once, whoever asks gets its answer, and who has
// no patience left has the answer before.
func TestSurvey(t *testing.T) {
	var s Survey[int]
	sent := 0
	begin := func() bool { sent++; return true }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first, second := s.Ask(begin), s.Ask(begin)
	if sent != 1 || first != second {
		t.Errorf("sent %d times", sent)
	}
	if Await(ended, first, nil) {
		t.Error("answered before it was")
	}
	s.Answer(7)
	if !Await(t.Context(), first, nil) || !Await(ended, second, nil) || s.Last() != 7 {
		t.Errorf("answered %d", s.Last())
	}
	third := s.Ask(begin)
	if sent != 2 || Await(ended, third, nil) || s.Last() != 7 {
		t.Errorf("asked again: sent %d times, %d", sent, s.Last())
	}
	if gone := make(chan struct{}); true {
		close(gone)
		if !Await(t.Context(), third, gone) {
			t.Error("one that has gone is waited for")
		}
	}
	s.Answer(8)
	if got := s.Take(); got != 8 || s.Last() != 0 {
		t.Errorf("took %d and left %d", got, s.Last())
	}
	if !Await(t.Context(), s.Ask(func() bool { return false }), nil) || s.Last() != 0 {
		t.Error("one that has ended is waited for")
	}
}

// TestTop: the greatest of many, and never more than asked for is held.
func TestTop(t *testing.T) {
	for _, most := range []int{0, 1, 3, 100, 1000} {
		top := NewTop(most, cmp.Compare[int])
		all := rand.Perm(500)
		for _, v := range all {
			top.Add(v)
			if len(top.kept.list) > max(most, 1) {
				t.Fatalf("%d are held, not %d", len(top.kept.list), most)
			}
		}
		slices.Sort(all)
		slices.Reverse(all)
		if got, want := top.List(), all[:min(max(most, 1), len(all))]; !slices.Equal(got, want) {
			t.Errorf("%d: got %v", most, got)
		}
	}
}
