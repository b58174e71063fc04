package job

import (
	"fmt"
	"slices"
	"testing"
)

// Counting the messages by hand gives what Of and Length return.
func TestAssignment(t *testing.T) {
	for _, d := range []Assignment{{}, {Streams: 7}, {Streams: 7, Zipf: 1}, {Streams: 50, Zipf: 1.5},
		{Streams: 1, Zipf: 2}} {
		d.Prepare()
		seen := make([]int64, d.Streams)
		for n := range int64(1000) {
			for s := range d.Streams {
				if got := d.Length(n, s); got != seen[s] {
					t.Fatalf("%d streams, Zipf %v: stream %d has %d of the first %d messages, not %d", d.Streams,
						d.Zipf, s, got, n, seen[s])
				}
			}
			s, nth := d.Of(n)
			if nth != seen[s] {
				t.Fatalf("%d streams, Zipf %v: message %d is number %d of stream %d, not %d", d.Streams, d.Zipf, n, nth,
					s, seen[s])
			}
			seen[s]++
		}
	}
}

// Popular streams get more, in the given proportion, and no stream is starved.
func TestAssignmentZipf(t *testing.T) {
	d := Assignment{Streams: 100, Zipf: 1, Each: 5}
	d.Prepare()
	round := int64(len(d.slots))
	for s, want := range map[int64]int64{0: 100, 1: 50, 9: 10, 99: 1} {
		if got := d.Length(round, s); got != want {
			t.Errorf("stream %d gets %d of a round, not %d", s, got, want)
		}
	}
	members := make([]int, 100)
	for i := range 2000 {
		mine := d.StreamsOf(nil, i)
		if len(mine) != 5 || !slices.IsSorted(mine) || len(slices.Compact(slices.Clone(mine))) != 5 {
			t.Fatalf("client %d has %v", i, mine)
		}
		if !slices.Equal(mine, d.StreamsOf(nil, i)) {
			t.Fatalf("client %d chooses again", i)
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

func TestAssignmentNames(t *testing.T) {
	f := func(d Assignment, s int64, room, key string) {
		t.Helper()
		d.Prepare()
		if d.Room(s) != room || d.Key(s) != key {
			t.Fatalf("stream %d: room %q, key %q; want %q, %q", s, d.Room(s), d.Key(s), room, key)
		}
	}
	f(Assignment{}, 2, "", "k2")
	f(Assignment{Streams: 4, Rooms: []string{"a", "b"}}, 3, "b", "k1")
	f(Assignment{Streams: 4, Each: 1, Rooms: []string{"keyed:{key}"}}, 3, "keyed:k3", "k3")
	f(Assignment{Streams: 4, Each: 1, Rooms: []string{"orders:{user}"}, First: 10}, 3,
		fmt.Sprintf("orders:%s", UserName(13)), UserName(13))
}
