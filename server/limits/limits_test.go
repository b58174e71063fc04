package limits

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestDebts: what is remembered of payers is bounded, and forgotten once it is paid.
func TestDebts(t *testing.T) {
	b := newBudgets(&config.Default().Limits)
	rule := pace{int64(time.Second), int64(time.Minute)}
	for i := range uint64(2 * budgetShards * maxDebts) {
		b.charge(payer{kind: payConn, conn: i}, rule, 1, 1)
	}
	if n := b.Debts(); n != budgetShards*maxDebts || b.forgone.Load() != uint64(n) {
		t.Errorf("%d debts, %d forgone", n, b.forgone.Load())
	}
	for range budgetShards {
		b.Sweep(int64(2 * time.Second))
	}
	if n := b.Debts(); n != 0 {
		t.Errorf("%d debts that are paid are remembered", n)
	}
	// Those that are paid make room.
	for round := range int64(3) {
		for i := range uint64(budgetShards * maxDebts / 2) {
			b.charge(payer{kind: payConn, conn: i, name: fmt.Sprint(round)}, rule, 1, round*int64(time.Hour))
		}
	}
	if n := b.Debts(); n > budgetShards*maxDebts*6/10 {
		t.Errorf("%d debts", n)
	}
}

func TestPace(t *testing.T) {
	var b Bucket
	if p := newPace(0, 0); b.take(p, 1) != OK || b != 0 {
		t.Error("no limit limits")
	}
	p := newPace(1e-9, 0) // as good as never, and a burst of one
	if b.take(p, 1) != OK || b.take(p, 1) != Over || b.take(p, 1) != Far {
		t.Error("the least burst is not one")
	}
	if p := newPace(1e12, 1<<40); p.each < 1 || p.burst < p.each {
		t.Errorf("%+v", p)
	}
}

func TestLimitNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range Kinds {
		seen[k.String()] = true
	}
	if len(seen) != int(Kinds) {
		t.Errorf("names %v", seen)
	}
}

// TestAccounts: connections and rooms are counted by user, up to their limits.
func TestAccounts(t *testing.T) {
	a := newAccounts()
	f := func(got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(a.Take("42", 2), true)
	f(a.Take("42", 2), true)
	f(a.Take("42", 2), false)
	f(a.Take("43", 2), true)
	f(a.Take("42", 0), true) // no limit
	f(a.TakeRooms("42", 7, 10), 7)
	f(a.TakeRooms("42", 7, 10), 3)
	f(a.TakeRooms("42", 1, 10), 0)
	f(a.TakeRooms("42", 100, 0), 100)
	f(a.TakeRooms("42", 1, 10), 0) // more than the limit, which was set later
	a.GiveRooms("42", 105)
	f(a.TakeRooms("42", 7, 10), 5)
	a.Give("42", 6)
	conns, rooms := a.Of("42")
	f(conns, 2)
	f(rooms, 4)
	f(a.TakeRooms("nobody", 3, 1), 3)
	f(a.Len(), 2)
}

// TestAccountsForget: a user is forgotten with its last connection, and after a storm the memory is freed.
func TestAccountsForget(t *testing.T) {
	a := newAccounts()
	const users = 100 * accountShards
	for i := range users {
		a.Take(fmt.Sprint(i), 1)
	}
	if n := a.Len(); n != users {
		t.Errorf("%d users", n)
	}
	for i := range users - 1 {
		a.Give(fmt.Sprint(i), 0)
	}
	if n := a.Len(); n != 1 {
		t.Errorf("%d users", n)
	}
	if a.Take(fmt.Sprint(users-1), 1) {
		t.Error("the last one was forgotten too")
	}
	for i := range a.shards {
		if s := &a.shards[i]; s.most > fewAccounts {
			t.Errorf("a shard still has the map of %d users", s.most)
		}
	}
}

// TestBadTokensDelay: an address that comes back with bad tokens each time that it may waits twice as
// long each time, up to a minute, and is forgiven with time.
func TestBadTokensDelay(t *testing.T) {
	cfg := config.Default()
	cfg.Limits.BadTokensPerSecond = 1
	b := newBudgets(&cfg.Limits)
	from := netip.MustParseAddr("2001:db8::1")
	now := int64(time.Hour)
	for range 10 {
		b.BadToken(from, "x", false, now)
	}
	if wait := b.WornOut(from, now); wait != 0 {
		t.Fatalf("waits %s within what may come at once", wait)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		for b.WornOut(from, now) == 0 { // its debt is paid off while it waits
			b.BadToken(from, "x", false, now)
		}
		b.BadToken(from, "x", false, now)                          // was under way: no further time
		wait := b.WornOut(netip.MustParseAddr("2001:db8::2"), now) // the same /64
		if wait != max(want, 2)*time.Second {                      // two tokens more than may come at once cost 2 s
			t.Errorf("time %d: waits %s, want %d s", i, wait, want)
		}
		now += int64(wait)
	}
	now += int64(maxStrikes * strikeFor)
	for range 11 {
		b.BadToken(from, "x", false, now)
	}
	if wait := b.WornOut(from, now); wait != time.Second {
		t.Errorf("later: waits %s", wait)
	}
	if b.WornOut(netip.MustParseAddr("192.0.2.1"), now) != 0 {
		t.Error("another address waits")
	}
	if now += int64(time.Minute); b.WornOut(from, now) != 0 {
		t.Error("it waits for longer than its delay")
	}
	if b.BadToken(from, "x", false, now); b.WornOut(from, now) != 0 {
		t.Error("one bad token of somebody behind the same address shuts all out again")
	}
}

// TestShares: an address is held to its share only while more than the free ones are taken.
func TestShares(t *testing.T) {
	s := Shares{each: 2, free: 4}
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 4 {
		if _, ok := s.Take(one); !ok {
			t.Fatal("refused among the free ones")
		}
	}
	if _, ok := s.Take(one); ok {
		t.Error("one address takes the places of all")
	}
	for i := range 3 {
		if _, ok := s.Take(other); ok != (i < 2) {
			t.Errorf("%d of another address: %v", i, ok)
		}
	}
	for range 4 {
		s.Give(one)
	}
	if _, ok := s.Take(one); !ok || s.Count() != 3 {
		t.Errorf("later: %v, %d", ok, s.Count())
	}
}

// TestLogLinesAddNoDebt: what is asked for beyond a line a minute is not remembered for longer.
func TestLogLinesAddNoDebt(t *testing.T) {
	cfg := config.Default()
	b := newBudgets(&cfg.Limits)
	now := int64(time.Hour)
	for i := range 200 {
		if b.MayLog(1, Messages, now) != (i == 0) {
			t.Fatalf("line %d", i)
		}
	}
	if now += int64(time.Minute); !b.MayLog(1, Messages, now) {
		t.Error("nothing is logged a minute later")
	}
}
