package ingest

import (
	"testing"
	"time"

	"tapecast/rooms"
)

// TestTakeBackFromSlow: a member that is sent nothing gives its frames back soon, one that is sent something
// holds them longer, and nobody for ever: what trickles would hold memory for hours.
func TestTakeBackFromSlow(t *testing.T) {
	taken := 0
	h := &handouts{wake: func() {}}
	list := make([]rooms.Record, 1000)
	for i := range list {
		list[i] = rooms.Record{Pattern: &rooms.Pattern{}, Room: []byte("all"), Offset: int64(i), Value: []byte("1")}
	}
	read := rooms.NewPast(list[0].Pattern, "all", list, nil)
	w := &asked{Recall: &rooms.Recall{}, user: &recallUser{}}
	var past *rooms.Past
	w.TakeBack = func(p *rooms.Past) { taken++; p.Release() }
	begin := func() time.Time {
		past = h.hand(&shared{past: read, size: 1 << 20}, w, nil)
		taken = 0
		return time.Now()
	}

	at := begin()
	h.takeBack(1, nil, at.Add(crowdedFor/2))
	if taken != 0 {
		t.Fatal("taken back before it could be sent anything")
	}
	if h.takeBack(1, nil, at.Add(2*crowdedFor)); taken != 1 {
		t.Fatal("a member that is sent nothing keeps its frames")
	}

	if heldFor+crowdedFor > recallFor {
		t.Errorf("a request that waits is refused after %v, before frames are given back", recallFor)
	}
	at = begin()
	for n, step := 1, crowdedFor; step < heldFor; n, step = n+1, step+crowdedFor {
		past.Sent(n)
		if h.takeBack(1, nil, at.Add(step)); taken != 0 {
			t.Fatalf("taken back after %v, although it is sent frames", step)
		}
	}
	past.Sent(999)
	if h.takeBack(1, nil, at.Add(heldFor)); taken != 1 || h.total() != 0 {
		t.Fatalf("after %v a member that is sent a frame now and then holds %d bytes", heldFor, h.total())
	}
}

// TestRecallNext: a request that comes alone does not wait for others.
func TestRecallNext(t *testing.T) {
	a := newRecaller(&Consumer{})
	for _, r := range []*rooms.Recall{{}, {More: true}, {Next: true}} {
		a.fresh = []*asked{{Recall: r}}
		if a.goesOn() != (r.More || r.Next) {
			t.Errorf("%+v", r)
		}
	}
}
