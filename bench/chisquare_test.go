package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Two counts have one degree of freedom: the deviation is normal, and its square is x2.
func TestChiSquareExact(t *testing.T) {
	for _, counts := range [][]int64{{52, 48}, {60, 40}, {90, 10}} {
		x2, p := chiSquare(counts)
		if want := math.Erfc(math.Sqrt(x2 / 2)); math.Abs(p-want) > 1e-12 {
			t.Errorf("%v: x2 %v has p %v, not %v", counts, x2, p, want)
		}
	}
}

// Chance passes about as often as it should. A favourite never does, and strict turns always
// do.
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
