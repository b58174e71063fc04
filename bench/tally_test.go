package bench

import (
	"math/rand/v2"
	"testing"
)

func TestTally(t *testing.T) {
	// total messages of a run, what came, and what the tally says of it
	f := func(streams, total int64, came []int64, unique, lost, late, doubled int64) {
		t.Helper()
		y := newTally(1, &deal{Streams: streams}, 0)
		for _, n := range came {
			y.got(0, n)
		}
		if y.unique != unique || y.lost(0, total) != lost || y.late != late || y.doubled != doubled {
			t.Fatalf("unique %d, lost %d, late %d, doubled %d", y.unique, y.lost(0, total), y.late, y.doubled)
		}
	}
	f(1, 4, []int64{0, 1, 2, 3}, 4, 0, 0, 0)
	f(1, 4, nil, 0, 4, 0, 0)
	f(1, 4, []int64{0, 1, 3}, 3, 1, 0, 0)             // one lost
	f(1, 4, []int64{0, 1}, 2, 2, 0, 0)                // the end lost
	f(1, 4, []int64{2, 3}, 2, 2, 0, 0)                // the start lost
	f(1, 4, []int64{0, 1, 1, 2, 3}, 4, 0, 0, 1)       // one twice
	f(1, 4, []int64{0, 2, 1, 3}, 4, 0, 1, 0)          // two swapped
	f(1, 4, []int64{3, 2, 1, 0}, 4, 0, 3, 0)          // all turned round
	f(1, 6, []int64{0, 5, 3, 3, 1}, 4, 2, 2, 1)       // a hole split in three
	f(1, 4, []int64{0, 1, 3, 2, 2}, 4, 0, 1, 1)       // late, then twice
	f(3, 7, []int64{0, 2, 1, 5, 3, 4, 6}, 7, 0, 0, 0) // streams may mix
	f(3, 7, []int64{0, 2, 1, 4, 6, 3}, 6, 1, 1, 0)    // but not one within itself
}

func TestTallyOwn(t *testing.T) {
	y := newTally(3, &deal{Streams: 3, Each: 1}, 0)
	for _, n := range []int64{0, 3, 6} {
		y.got(0, n)
	}
	y.got(1, 1)
	y.got(1, 2) // client 2's
	if y.foreign != 1 || y.lost(0, 8) != 0 || y.lost(1, 8) != 2 || y.lost(2, 8) != 2 {
		t.Fatalf("foreign %d, lost %d %d %d", y.foreign, y.lost(0, 8), y.lost(1, 8), y.lost(2, 8))
	}
	if y.want(0, 8) != 3 || y.want(2, 8) != 2 {
		t.Fatalf("want %d and %d", y.want(0, 8), y.want(2, 8))
	}
}

// Whatever arrives in whatever order: unique and lost are what a set says.
func FuzzTally(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, streams uint8) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		const total = 60
		y := newTally(1, &deal{Streams: int64(streams%5) + 1}, 0)
		seen := map[int64]bool{}
		var doubled int64
		for range rnd.IntN(120) {
			n := rnd.Int64N(total)
			if seen[n] {
				doubled++
			}
			seen[n] = true
			y.got(0, n)
		}
		if y.unique != int64(len(seen)) || y.doubled != doubled || y.lost(0, total) != total-int64(len(seen)) {
			t.Fatalf("unique %d of %d, doubled %d of %d, lost %d", y.unique, len(seen), y.doubled, doubled, y.lost(0, total))
		}
	})
}
