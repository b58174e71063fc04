package limits

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestTierNumbers: a name keeps its number while rows come and go, and there are no more numbers than
// a session can hold.
func TestTierNumbers(t *testing.T) {
	cfg := config.Default()
	l := New(cfg)
	set := func(names ...string) error {
		cfg := config.Default()
		for i, name := range names {
			tier := cfg.Limits.Untiered()
			tier.RoomsPerUser = i + 1
			cfg.Limits.Tiers[name] = tier
		}
		return l.SetTiers(&cfg.Limits)
	}
	if err := set("basic"); err != nil {
		t.Fatal(err)
	}
	basic, ok := l.TierOf("basic")
	if !ok || basic == 0 {
		t.Fatalf("tier %d, %v", basic, ok)
	}
	if err := set("a", "b", "pro"); err != nil {
		t.Fatal(err)
	}
	pro, _ := l.TierOf("pro")
	if _, ok := l.TierOf("basic"); ok || l.Row(basic) != l.Row(0) || l.Row(pro).RoomsPerUser != 3 {
		t.Error("a row that is gone is still there, or another has its place")
	}
	if l.Row(250) != l.Row(0) {
		t.Error("a number without a row has limits of its own")
	}
	var many []string
	for i := range config.MaxTiers - 4 {
		many = append(many, fmt.Sprint("t", i))
	}
	if err := set(append(many, "pro", "basic")...); err != nil {
		t.Fatal(err)
	}
	if again, _ := l.TierOf("basic"); again != basic {
		t.Errorf("basic was tier %d and is %d", basic, again)
	}
	if err := set("one more"); err == nil || l.Row(pro).RoomsPerUser == 0 {
		t.Errorf("more tiers than there are numbers: %v", err)
	}
	if n, ok := l.TierOf("pro"); !ok || n != pro {
		t.Error("a refused change was made")
	}
}

// TestTiersAtOnce: rows are replaced while others use them.
func TestTiersAtOnce(t *testing.T) {
	cfg := config.Default()
	cfg.Limits.Tiers["pro"] = cfg.Limits.Untiered()
	l := New(cfg)
	var wg sync.WaitGroup
	for i := range uint64(4) {
		wg.Go(func() {
			for n := range int64(2000) {
				tier, _ := l.TierOf("pro")
				l.Charge(Client{ID: i, User: "42", Tier: tier}, 10, 10, n)
			}
		})
	}
	for range 200 {
		if err := l.SetTiers(&cfg.Limits); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// TestTierDebt: what was spent in one tier is no debt in another one, whose bursts take another time. Who
// comes from a tier has used as much of what may come at once as there.
func TestTierDebt(t *testing.T) {
	cfg := config.Default()
	slow, fast := cfg.Limits.Untiered(), cfg.Limits.Untiered()
	slow.RequestCost, slow.RequestBurst, slow.MessagesPerSecond, slow.Burst = 1, 1000, 1, 100
	fast.RequestCost, fast.RequestBurst, fast.MessagesPerSecond, fast.Burst = 1000, 1000, 1000, 100
	cfg.Limits.Tiers["slow"], cfg.Limits.Tiers["fast"] = slow, fast
	l := New(cfg)
	tier := func(name string) Tier {
		n, _ := l.TierOf(name)
		return n
	}
	now := int64(time.Hour)
	who := Client{ID: 7, User: "42", Tier: tier("slow")}
	spent := 0
	for ; spent < 10_000; spent += 100 {
		if v, _ := l.Charge(who, 100, 100, now); v != OK {
			break
		}
	}
	l.SnapshotSent(who, "prices", 10<<30, now)
	if who.Tier = tier("fast"); l.Owed(who, now) != 0 || l.SnapshotBegins(who, "prices", 1, now) == 0 {
		t.Errorf("after %d it owes %d; snapshots are at one pace and owed", spent, l.Owed(who, now))
	}
	if v, _ := l.Charge(who, 100, 100, now); v != OK {
		t.Errorf("the first request in another tier: %d", v)
	}
	if v, _ := l.Charge(Client{ID: 7, User: "42", Tier: tier("slow")}, 100, 100, now); v == OK {
		t.Error("going there and back pays debts off")
	}

	row := func(name string) *Row { return l.Row(tier(name)) }
	f := func(messages int, from, to string, left int) {
		t.Helper()
		var b Bucket
		for range messages {
			row(from).Take(&b, now)
		}
		b = row(to).Carry(b, row(from), now)
		n := 0
		for ; n < 1000 && row(to).Take(&b, now) == OK; n++ {
		}
		if n != left {
			t.Errorf("%d messages in %s: %d more in %s, want %d", messages, from, n, to, left)
		}
	}
	f(0, "slow", "fast", 100)
	f(40, "slow", "fast", 60)
	f(100, "slow", "fast", 0)
	f(40, "fast", "slow", 99) // it never waits for longer than it would have
	f(100, "fast", "fast", 0)

	var b Bucket // a row that is replaced
	for range 100 {
		row("slow").Take(&b, now)
	}
	if v := row("fast").Take(&b, now); v != OK {
		t.Errorf("the first message by another row: %d", v)
	}
}
