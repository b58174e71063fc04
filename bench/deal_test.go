package bench

import (
	"fmt"
	"slices"
	"testing"
)

// Each message has one place: counting them by hand gives what of and length say.
func TestDeal(t *testing.T) {
	for _, d := range []deal{{}, {Streams: 7}, {Streams: 7, Zipf: 1}, {Streams: 50, Zipf: 1.5}, {Streams: 1, Zipf: 2}} {
		d.prepare()
		seen := make([]int64, d.Streams)
		for n := range int64(1000) {
			for s := range d.Streams {
				if got := d.length(n, s); got != seen[s] {
					t.Fatalf("%d streams, Zipf %v: stream %d has %d of the first %d messages, not %d", d.Streams, d.Zipf, s, got, n, seen[s])
				}
			}
			s, nth := d.of(n)
			if nth != seen[s] {
				t.Fatalf("%d streams, Zipf %v: message %d is number %d of stream %d, not %d", d.Streams, d.Zipf, n, nth, s, seen[s])
			}
			seen[s]++
		}
	}
}

// The popular streams get more, in the proportion asked for, and nobody is starved.
func TestDealZipf(t *testing.T) {
	d := deal{Streams: 100, Zipf: 1, Each: 5}
	d.prepare()
	round := int64(len(d.slots))
	for s, want := range map[int64]int64{0: 100, 1: 50, 9: 10, 99: 1} {
		if got := d.length(round, s); got != want {
			t.Errorf("stream %d gets %d of a round, not %d", s, got, want)
		}
	}
	members := make([]int, 100)
	for i := range 2000 {
		mine := d.streamsOf(nil, i)
		if len(mine) != 5 || !slices.IsSorted(mine) || len(slices.Compact(slices.Clone(mine))) != 5 {
			t.Fatalf("client %d has %v", i, mine)
		}
		if !slices.Equal(mine, d.streamsOf(nil, i)) {
			t.Fatalf("client %d chooses anew", i)
		}
		for _, s := range mine {
			members[s]++
		}
	}
	// 100/519 of each choice, of five without repetition: about 0.65 of the clients.
	if members[0] < 1200 || members[0] > 1450 || members[9] < 100 || members[0] < 3*members[9] {
		t.Errorf("%d clients chose the first, %d the tenth", members[0], members[9])
	}
}

func TestDealNames(t *testing.T) {
	f := func(d deal, s int64, room, key string) {
		t.Helper()
		d.prepare()
		if d.room(s) != room || d.key(s) != key {
			t.Fatalf("stream %d: room %q, key %q; want %q, %q", s, d.room(s), d.key(s), room, key)
		}
	}
	f(deal{}, 2, "", "k2")
	f(deal{Streams: 4, Rooms: []string{"a", "b"}}, 3, "b", "k1")
	f(deal{Streams: 4, Each: 1, Rooms: []string{"keyed:{key}"}}, 3, "keyed:k3", "k3")
	f(deal{Streams: 4, Each: 1, Rooms: []string{"orders:{user}"}, First: 10}, 3, fmt.Sprintf("orders:%s", userName(13)), userName(13))
}

// Several streams of many: each client answers for its own.
func TestTallyChosen(t *testing.T) {
	d := deal{Streams: 20, Each: 3, Zipf: 1}
	y := newTally(4, &d, 8)
	const total = 500
	for n := range int64(total) {
		s, _ := d.of(n)
		for i := range 4 {
			if slices.Contains(d.streamsOf(nil, 8+i), int32(s)) && (i != 2 || n != 0) {
				y.got(i, n)
			}
		}
	}
	var want, lost int64
	for i := range 4 {
		want += y.want(i, total)
		lost += y.lost(i, total)
	}
	first, _ := d.of(0) // client 2 may or may not have chosen it
	missed := int64(0)
	if slices.Contains(d.streamsOf(nil, 10), int32(first)) {
		missed = 1
	}
	if y.unique != want-missed || lost != missed || y.foreign+y.late+y.doubled != 0 || want == 0 {
		t.Fatalf("unique %d of %d, lost %d of %d, foreign %d", y.unique, want, lost, missed, y.foreign)
	}
	other := slices.IndexFunc(d.slots, func(s int32) bool { return !slices.Contains(d.streamsOf(nil, 8), s) })
	if y.got(0, int64(other)); y.foreign != 1 {
		t.Fatal("a stream that the client has not chosen is taken")
	}
}

// Who was away need not have what was published meanwhile, but has to have the rest.
func TestTallyAway(t *testing.T) {
	// came before; back after so many; came then; of total
	f := func(before []int64, back int64, then []int64, total, unique, absent, lost, late, doubled int64) {
		t.Helper()
		y := newTally(1, &deal{}, 0)
		for _, n := range before {
			y.got(0, n)
		}
		y.back(0, back)
		for _, n := range then {
			y.got(0, n)
		}
		y.settle(0)
		if y.unique != unique || y.absent != absent || y.lost(0, total) != lost || y.late != late || y.doubled != doubled {
			t.Fatalf("unique %d, absent %d, lost %d, late %d, doubled %d", y.unique, y.absent, y.lost(0, total), y.late, y.doubled)
		}
	}
	f([]int64{0, 1}, 5, []int64{5, 6}, 7, 4, 3, 0, 0, 0)
	f([]int64{0, 1}, 5, []int64{3, 4, 5}, 6, 5, 1, 0, 0, 0) // its seam was before we heard of it
	f([]int64{0, 1}, 5, []int64{3, 5}, 6, 4, 2, 0, 0, 0)    // of what lies between nothing can be said
	f([]int64{0, 1}, 5, []int64{6}, 7, 3, 3, 1, 0, 0)       // the first one after it is lost
	f([]int64{0, 1}, 5, []int64{5, 1}, 6, 3, 3, 0, 0, 1)    // from before it went
	f([]int64{0, 1}, 5, []int64{4, 3, 5}, 6, 4, 2, 0, 0, 1) // out of order, and so as if seen before
	f([]int64{0, 1}, 2, []int64{2}, 3, 3, 0, 0, 0, 0)       // missed nothing
	f([]int64{0, 3}, 6, []int64{6}, 7, 3, 2, 2, 0, 0)       // what was lost before stays lost
	f([]int64{}, 4, []int64{}, 4, 0, 4, 0, 0, 0)
}
