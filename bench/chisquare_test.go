package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestGammaQ(t *testing.T) {
	f := func(a, x, want float64) {
		t.Helper()
		if got := gammaQ(a, x); math.Abs(got-want) > 1e-9 {
			t.Fatalf("gammaQ(%v, %v) = %v, want %v", a, x, got, want)
		}
	}
	f(1, 0, 1)
	f(1, 1, math.Exp(-1))
	f(1, 20, math.Exp(-20))
	f(0.5, 2, math.Erfc(math.Sqrt2)) // chi-square 4 with one degree: 4.55 %
	f(0.5, 0.02, math.Erfc(math.Sqrt(0.02)))
	f(3, 2, math.Exp(-2)*(1+2+2)) // Poisson: fewer than 3 where 2 are expected
	f(3, 9, math.Exp(-9)*(1+9+40.5))
}

// Chance passes about as often as it should, a favourite never does, and turns
// taken strictly always do.
func TestChiSquare(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const clients, messages, rounds = 50, 1000, 400
	below := 0
	for range rounds {
		counts := make([]int64, clients)
		for range messages {
			counts[rnd.IntN(clients)]++
		}
		if _, p := chiSquare(counts); p < 0.05 {
			below++
		}
	}
	if below < 5 || below > 40 { // 20 expected, 4.4 standard deviations
		t.Fatalf("%d of %d rounds of chance have p < 0.05", below, rounds)
	}
	even := make([]int64, clients)
	biased := make([]int64, clients)
	for i := range even {
		even[i] = messages / clients
		biased[i] = messages/clients - 1
	}
	biased[7] += clients
	if _, p := chiSquare(even); p < 0.999 {
		t.Fatalf("turns taken strictly have p %v", p)
	}
	if _, p := chiSquare(biased); p > 1e-6 {
		t.Fatalf("a favourite has p %v", p)
	}
}

func TestMostByChance(t *testing.T) {
	// Of 10 coins at least 9 heads: 11/1024, and as much for tails.
	if p := mostByChance(9, 10, 2); math.Abs(p-22./1024) > 1e-12 {
		t.Fatalf("p %v", p)
	}
	if p := mostByChance(0, 10, 4); p != 1 {
		t.Fatalf("p %v", p)
	}
	if p := mostByChance(60, 1000, 50); p > 1e-9 {
		t.Fatalf("p %v", p)
	}
}
