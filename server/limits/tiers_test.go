package limits

import (
	"fmt"
	"sync"
	"testing"

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
