package job

import (
	"encoding/json"
	"math/big"
	"testing"
)

func TestScheduleDue(t *testing.T) {
	f := func(rate float64, n, want int64) {
		t.Helper()
		s, err := NewSchedule(1e18, rate)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Due(n) - 1e18; got != want {
			t.Fatalf("at %v/s message %d is due after %d ns; want %d", rate, n, got, want)
		}
	}
	f(400, 0, 0)
	f(400, 1, 2_500_000)
	f(1600, 16_000, 10_000_000_000)
	f(3, 1, 333_333_333)
	f(3, 3, 1_000_000_000)
	f(7, 7_000_000, 1_000_000_000_000_000)
	f(0.5, 3, 6_000_000_000)
	f(0.001, 2, 2_000_000_000_000)
	f(1e9, 5, 5)
	f(999_999.999, MaxMessages, 9_000_000_009_000)
}

func TestScheduleRange(t *testing.T) {
	for _, rate := range []float64{0, -1, 0.0001, 2e9} {
		if _, err := NewSchedule(0, rate); err == nil {
			t.Fatalf("a rate of %v was accepted", rate)
		}
	}
}

// FuzzSchedule checks Due against exact arithmetic, Before against Due, and
// that a schedule survives a pipe.
func FuzzSchedule(f *testing.F) {
	f.Add(int64(400_000), int64(12345), int64(0))
	f.Add(int64(7_000), int64(1e9), int64(142_857_142))
	f.Add(int64(1), int64(9), int64(1))
	f.Fuzz(func(t *testing.T, milli, n, after int64) {
		if milli < 1 || milli > 1e12 || n < 0 || n > MaxMessages || after < 0 || after > 1e15 {
			t.Skip()
		}
		s, err := NewSchedule(1e18, float64(milli)/1000)
		if err != nil || s.Milli != milli {
			t.Skip() // a float has no such rate
		}
		want := new(big.Int).Mul(big.NewInt(n), big.NewInt(1e12))
		want.Quo(want, big.NewInt(milli)).Add(want, big.NewInt(1e18))
		if want.IsInt64() && s.Due(n) != want.Int64() {
			t.Fatalf("Due(%d) = %d, want %d", n, s.Due(n), want)
		}
		if k := s.Before(1e18 + after); s.Due(k) <= 1e18+after || k > 0 && s.Due(k-1) > 1e18+after {
			t.Fatalf("Before(+%d) = %d, but %d is due at +%d", after, k, k, s.Due(k)-1e18)
		}
		j, _ := json.Marshal(s)
		var u Schedule
		if err := json.Unmarshal(j, &u); err != nil {
			t.Fatal(err)
		}
		u.Prepare()
		if u != s {
			t.Fatalf("%+v became %+v", s, u)
		}
	})
}
