package ingest

import (
	"testing"
	"time"

	"tapecast/rooms"
)

// TestBudgetOfRequest: a request brings the budget of its user. Another budget holds from then on, and as
// large a part of it is used as was of the old one.
func TestBudgetOfRequest(t *testing.T) {
	a := newRecaller(&Consumer{cfg: Config{RecallBytes: 6000}})
	of := func(n int64) *recallUser { return a.user(rooms.Payer{User: "u", RecallBytes: n}) }
	now := time.Now()
	f := func(n, budget int64, after time.Duration, left float64) {
		t.Helper()
		u := of(n)
		now = now.Add(after)
		if u.refill(now); u.budget != budget || budget >= 0 && (u.left < left-1 || u.left > left+60) {
			t.Errorf("by %d: %.0f bytes of %d a minute are left, want %.0f of %d", n, u.left, u.budget, left, budget)
		}
	}
	f(0, 6000, 0, 6000)
	of(0).left = 1000
	f(60_000, 60_000, 0, 10_000) // a higher tier
	f(60_000, 60_000, 30*time.Second, 40_000)
	f(6000, 6000, 0, 4000) // a lower one
	of(0).left = -600
	f(3000, 3000, 0, -300) // less than is in use
	f(3000, 3000, 30*time.Second, 1200)
	f(-1, -1, 0, 0)
	if u := of(-1); !u.idle(now) {
		t.Error("a user without a limit is in debt")
	}
	f(6000, 6000, 0, 6000)
	big := a.user(rooms.Payer{User: "w", RecallBytes: 256 << 20})
	big.left = -16 << 20 // as one read may leave it
	big.allow(64<<10, now)
	if wait := big.until(0); wait > 10*time.Second {
		t.Errorf("a lower budget is to be paid off in %s", wait)
	}
	other := a.user(rooms.Payer{User: "v"})
	if other.budget != 6000 || len(a.users) != 3 {
		t.Errorf("another user has %d", other.budget)
	}
}

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
