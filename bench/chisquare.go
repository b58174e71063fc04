package bench

import "math"

// chiSquare compares counts with chance: equal shares of their sum. p is the
// probability of a deviation this great or greater if there is nothing but
// chance (Pearson's test).
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
	return x2, gammaQ(float64(len(counts)-1)/2, x2/2)
}

// gammaQ is the upper regularized incomplete gamma function, by its series
// below the mean and by its continued fraction above it (Numerical Recipes, 6.2).
func gammaQ(a, x float64) float64 {
	if x <= 0 {
		return 1
	}
	lg, _ := math.Lgamma(a)
	front := math.Exp(-x + a*math.Log(x) - lg)
	const tiny, close = 1e-300, 1e-14
	if x < a+1 {
		sum, term := 1/a, 1/a
		for n := a + 1; math.Abs(term) > math.Abs(sum)*close; n++ {
			term *= x / n
			sum += term
		}
		return 1 - sum*front
	}
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for i := 1.0; i < 100_000; i++ {
		an := -i * (i - a)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		step := d * c
		h *= step
		if math.Abs(step-1) < close {
			break
		}
	}
	return front * h
}

// mostByChance is the probability that, of so many clients among which total
// places fall by chance, some client gets most of them or more (Bonferroni's
// bound: at most).
func mostByChance(most, total int64, clients int) float64 {
	p := 1 / float64(clients)
	var tail float64
	for k := most; k <= total; k++ {
		term := math.Exp(logChoose(total, k) + float64(k)*math.Log(p) + float64(total-k)*math.Log1p(-p))
		tail += term
		if k > most && term < tail*1e-15 {
			break
		}
	}
	return math.Min(1, tail*float64(clients))
}

func logChoose(n, k int64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// sqrt12 is √(12n): an even place between 0 and 1 deviates by 1/√12.
func sqrt12(n float64) float64 { return math.Sqrt(12 * n) }
