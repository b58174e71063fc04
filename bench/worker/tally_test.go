package worker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tapecast/bench/job"
)

func TestTally(t *testing.T) {
	// the number of messages in a run, those that came, and the tally's figures
	f := func(streams, total int64, came []int64, unique, lost, late, doubled int64) {
		t.Helper()
		y := newTally(1, &job.Assignment{Streams: streams}, 0)
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
	y := newTally(3, &job.Assignment{Streams: 3, Each: 1}, 0)
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

// Whatever arrives, in whatever order: unique and lost are what a set has.
func FuzzTally(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, streams uint8) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		const total = 60
		y := newTally(1, &job.Assignment{Streams: int64(streams%5) + 1}, 0)
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
			t.Fatalf("unique %d of %d, doubled %d of %d, lost %d", y.unique, len(seen), y.doubled, doubled,
				y.lost(0, total))
		}
	})
}

// Each client has several of many streams, and counts its own.
func TestTallyChosen(t *testing.T) {
	d := job.Assignment{Streams: 20, Each: 3, Zipf: 1}
	y := newTally(4, &d, 8)
	const total = 500
	for n := range int64(total) {
		s, _ := d.Of(n)
		for i := range 4 {
			if slices.Contains(d.StreamsOf(nil, 8+i), int32(s)) && (i != 2 || n != 0) {
				y.got(i, n)
			}
		}
	}
	var want, lost int64
	for i := range 4 {
		want += y.want(i, total)
		lost += y.lost(i, total)
	}
	first, _ := d.Of(0) // client 2 may or may not have chosen it
	missed := int64(0)
	if slices.Contains(d.StreamsOf(nil, 10), int32(first)) {
		missed = 1
	}
	if y.unique != want-missed || lost != missed || y.foreign+y.late+y.doubled != 0 || want == 0 {
		t.Fatalf("unique %d of %d, lost %d of %d, foreign %d", y.unique, want, lost, missed, y.foreign)
	}
	other := int64(0)
	for ; ; other++ {
		if s, _ := d.Of(other); !slices.Contains(d.StreamsOf(nil, 8), int32(s)) {
			break
		}
	}
	if y.got(0, other); y.foreign != 1 {
		t.Fatal("a stream that the client has not chosen is taken")
	}
}

// A client that was away is not owed what was published meanwhile, but it is owed the rest.
func TestTallyAway(t *testing.T) {
	// what came before; how many there were on return; what came then; of how many in all
	f := func(before []int64, back int64, then []int64, total, unique, absent, lost, late, doubled int64) {
		t.Helper()
		y := newTally(1, &job.Assignment{}, 0)
		for _, n := range before {
			y.got(0, n)
		}
		y.back(0, back)
		for _, n := range then {
			y.got(0, n)
		}
		y.settle(0)
		if y.unique != unique || y.absent != absent || y.lost(0, total) != lost || y.late != late ||
			y.doubled != doubled {
			t.Fatalf("unique %d, absent %d, lost %d, late %d, doubled %d", y.unique, y.absent, y.lost(0, total), y.late,
				y.doubled)
		}
	}
	f([]int64{0, 1}, 5, []int64{5, 6}, 7, 4, 3, 0, 0, 0)
	f([]int64{0, 1}, 5, []int64{3, 4, 5}, 6, 5, 1, 0, 0, 0) // it joined before we heard of it
	f([]int64{0, 1}, 5, []int64{3, 5}, 6, 4, 2, 0, 0, 0)    // what lies between is unknown
	f([]int64{0, 1}, 5, []int64{6}, 7, 3, 3, 1, 0, 0)       // the first one after it is lost
	f([]int64{0, 1}, 5, []int64{5, 1}, 6, 3, 3, 0, 0, 1)    // from before it left
	f([]int64{0, 1}, 5, []int64{4, 3, 5}, 6, 4, 2, 0, 0, 1) // out of order, so it counts as seen before
	f([]int64{0, 1}, 2, []int64{2}, 3, 3, 0, 0, 0, 0)       // missed nothing
	f([]int64{0, 3}, 6, []int64{6}, 7, 3, 2, 2, 0, 0)       // what was lost before stays lost
	f([]int64{}, 4, []int64{}, 4, 0, 4, 0, 0, 0)
}
