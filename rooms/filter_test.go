package rooms

import (
	"strings"
	"testing"
)

// TestFilterBehindReset: a client that was ahead of this node has nothing of the epoch that
// follows, also where the reset was cut before and the tape no longer knows of it.
func TestFilterBehindReset(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: &Class{Name: "values", Conflate: true}, Feed: feed})
	r := m.join(m.listen(), "a")[0].Sub.Room()
	m.batch.Reset(feed, "e2", 1)
	m.send()
	m.put("a", 0, 3, `"new"`)
	f := func(cut func(at uint64, max int, filter *Filter) (uint64, []Piece)) {
		t.Helper()
		filter := &Filter{Have: []Pos{{0, 9}}, Ahead: true} // of e1
		next, pieces := cut(0, 1, filter)
		if len(pieces) != 1 || !strings.Contains(string(pieces[0].Bytes), `"reset"`) {
			t.Fatalf("got %d pieces, and no reset", len(pieces))
		}
		if _, pieces = cut(next, 1<<20, filter); len(pieces) != 1 ||
			!strings.Contains(string(pieces[0].Bytes), `"new"`) {
			t.Errorf("what follows the reset is left out")
		}
	}
	f(func(at uint64, max int, filter *Filter) (uint64, []Piece) {
		next, pieces, _, _ := r.CutLatest(at, r.Forgotten(), max, filter, nil)
		return next, pieces
	})
	f(func(at uint64, max int, filter *Filter) (uint64, []Piece) {
		next, pieces, _ := r.CutSome(at, max, filter, nil)
		return next, pieces
	})
}
