package bench

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// chiSquare compares counts with equal shares of their sum. p is the probability of a
// deviation this great or greater by chance alone (Pearson's test).
func chiSquare(counts []int64) (x2, p float64) {
	var total int64
	for _, c := range counts {
		total += c
	}
	if len(counts) < 2 || total == 0 {
		return 0, 1
	}
	expected := float64(total) / float64(len(counts))
	for _, c := range counts {
		d := float64(c) - expected
		x2 += d * d / expected
	}
	return x2, distuv.ChiSquared{K: float64(len(counts) - 1)}.Survival(x2)
}

// mostByChance returns an upper bound (Bonferroni) of a probability: that of so many
// clients some client wins at least most of total random draws.
func mostByChance(most, total int64, clients int) float64 {
	if most <= 0 {
		return 1
	}
	one := distuv.Binomial{N: float64(total), P: 1 / float64(clients)}
	return math.Min(1, float64(clients)*one.Survival(float64(most-1)))
}
