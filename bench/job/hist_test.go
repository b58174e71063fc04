package job

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
)

// Histograms of several workers, merged over pipes, have exactly the counts of one histogram
// of everything, and quantiles within 0.1 % of the truth.
func TestHistMergeIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	one, merged := NewHist(), NewHist()
	var all []int64
	for range 4 {
		part := NewHist()
		for range 10_000 {
			v := int64(1000 * rnd.ExpFloat64() * float64(int64(1)<<rnd.IntN(24)))
			all = append(all, v)
			one.Record(v)
			part.Record(v)
		}
		j, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		var back Hist
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatal(err)
		}
		merged.Merge(&back)
	}
	if !slices.Equal(one.h.Export().Counts, merged.h.Export().Counts) || one.Max() != merged.Max() ||
		one.Count() != merged.Count() {
		t.Fatal("merging moved counts")
	}
	slices.Sort(all)
	for _, q := range []float64{1, 50, 90, 99, 99.9, 100} {
		want := float64(all[int(float64(len(all))*q/100+0.5)-1])
		got := float64(merged.Quantile(q))
		if got < want-512 || got > want*1.001+1024 {
			t.Fatalf("p%v is %v, want %v", q, got, want)
		}
	}
	if merged.Max() != all[len(all)-1] {
		t.Fatalf("max is %d, want %d", merged.Max(), all[len(all)-1])
	}
}

func TestHistOutOfRange(t *testing.T) {
	h := NewHist()
	h.Record(-5)
	h.RecordN(2*histHighest, 3)
	j, _ := json.Marshal(h)
	var u Hist
	if err := json.Unmarshal(j, &u); err != nil {
		t.Fatal(err)
	}
	if u.Count() != 4 || u.Max() != 2*histHighest {
		t.Fatalf("count %d, max %d", u.Count(), u.Max())
	}
	u.Reset()
	if u.Count() != 0 || u.Max() != 0 {
		t.Fatal("reset left something")
	}
	if err := json.Unmarshal([]byte(`{"buckets":[[999999,1]]}`), &u); err == nil {
		t.Fatal("a bucket that does not exist was accepted")
	}
}
