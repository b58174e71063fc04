package job

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two workers' tallies add up, whatever parts either lacks.
func TestAdd(t *testing.T) {
	hist := func(v ...int64) *Hist {
		h := NewHist()
		for _, v := range v {
			h.Record(v)
		}
		return h
	}
	a := &Tally{
		FeedTally: FeedTally{Counts: Counts{Want: 10, Unique: 9, Lost: 1}, Latency: hist(1e6)},
		Clients:   2, Invalid: 1, CPU: 0.5, Frames: 9, Lag: hist(), Closes: map[string]int64{"1000": 1, "1006": 2},
		Faults: []string{"x"}, Feeds: []FeedTally{{Counts: Counts{Late: 1}, Latency: hist(5e6)}},
		Storm: &StormTally{Clients: 2, At: 7, Last: 20, Handshake: hist(1e9), Refused: map[string]int64{"503": 1}},
		Stall: &Stall{Clients: 1, Seconds: 2, Received: 3},
	}
	b := &Tally{
		FeedTally: FeedTally{Counts: Counts{Want: 5, Unique: 5}, Latency: hist(2e6, 3e6)},
		Clients:   1, CPU: 0.25, Frames: 5, Lag: hist(4e6), Closes: map[string]int64{"1006": 1},
		Notices: map[string]int64{"gap": 1}, Faults: []string{"y", "z"},
		Feeds: []FeedTally{{Counts{Late: 2}, hist(6e6)}, {Counts{Want: 1}, hist(7e6)}},
		Storm: &StormTally{Clients: 1, Back: 1, At: 7, Last: 15, Handshake: hist(2e9)},
		Pings: &PingTally{Sent: 4, Latency: hist(8e6)},
	}
	Add(a, b)
	want := &Tally{
		FeedTally: FeedTally{Counts: Counts{Want: 15, Unique: 14, Lost: 1}, Latency: hist(1e6, 2e6, 3e6)},
		Clients:   3, Invalid: 1, CPU: 0.75, Frames: 14, Lag: hist(4e6), Closes: map[string]int64{"1000": 1, "1006": 3},
		Notices: map[string]int64{"gap": 1}, Faults: []string{"x", "y", "z"},
		Feeds: []FeedTally{{Counts{Late: 3}, hist(5e6, 6e6)}, {Counts{Want: 1}, hist(7e6)}},
		Storm: &StormTally{Clients: 3, Back: 1, At: 7, Last: 20, Handshake: hist(1e9, 2e9),
			Refused: map[string]int64{"503": 1}},
		Stall: &Stall{Clients: 1, Seconds: 2, Received: 3},
		Pings: &PingTally{Sent: 4, Latency: hist(8e6)},
	}
	same := cmp.Comparer(func(x, y *Hist) bool {
		return x == y || x != nil && y != nil && x.Quantiles() == y.Quantiles()
	})
	if d := cmp.Diff(want, a, same); d != "" {
		t.Error(d)
	}
}
