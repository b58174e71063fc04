package demo

import (
	"slices"
	"testing"
	"time"
)

// virtualHour returns the events of an hour, second by second.
func virtualHour(seed uint64) [][]event {
	seconds := make([][]event, 3600)
	for s := range seconds {
		seconds[s] = schedule(seed, int64(s), len(Users()))
	}
	return seconds
}

func TestScheduleStatistics(t *testing.T) {
	within := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %.3g, want %g to %g", what, got, low, high)
		}
	}
	for _, seed := range []uint64{1, 2} {
		var perSecond []int
		total, trades, burst, first := 0, 0, 0, -1
		shares := make([]float64, len(instruments))
		for s, list := range virtualHour(seed) {
			perSecond = append(perSecond, len(list))
			total += len(list)
			var at []time.Duration
			for _, ev := range list {
				switch ev.kind {
				case evTrade:
					trades++
					at = append(at, ev.at)
					fallthrough
				case evTicker:
					shares[ev.index]++
				}
			}
			most := busiest(at, 100*time.Millisecond)
			if burst = max(burst, most); most > 1600 && first < 0 {
				first = s
			}
		}
		slices.Sort(perSecond)
		within("messages a second", float64(total)/3600, 765, 845)
		within("99th percentile second", float64(perSecond[3600*99/100]), 2400, 3000)
		within("busiest second", float64(perSecond[3599]), 5300, 6300)
		within("trades of all", float64(trades)/float64(total), .12, .20)
		within("most trades within 100 ms", float64(burst), 1600, 2200)
		within("seconds until the first burst", float64(first), 0, 60)
		for i, n := range shares {
			within("share of "+instruments[i].base, n/float64(total), instruments[i].share*.8-.001,
				instruments[i].share*1.2+.001)
		}
	}
}

// busiest returns the most times within one window. The times are in order.
func busiest(at []time.Duration, window time.Duration) int {
	most, from := 0, 0
	for i := range at {
		for at[i]-at[from] > window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestScheduleIsPure(t *testing.T) {
	for _, s := range []int64{0, 1, 59, 100000} {
		a, b := schedule(7, s, 5), schedule(7, s, 5)
		if !slices.Equal(a, b) {
			t.Errorf("second %d differs from itself", s)
		}
		if slices.Equal(a, schedule(8, s, 5)) {
			t.Errorf("second %d is the same with another seed", s)
		}
	}
}

func TestScheduleInOrder(t *testing.T) {
	last := time.Duration(-1)
	for s := range int64(200) {
		for _, ev := range schedule(3, s, 5) {
			if ev.at < last || ev.at < time.Duration(s)*time.Second || ev.at >= time.Duration(s+1)*time.Second {
				t.Fatalf("second %d has an event at %v after one at %v", s, ev.at, last)
			}
			last = ev.at
		}
	}
}

// Every private room of every user, and the room of alerts, gets a message within the
// first 15 s, and in every 15 s after that. No step is lost or occurs twice.
func TestScheduleOfUsers(t *testing.T) {
	users := len(Users())
	type room struct {
		kind eventKind
		user int16
	}
	last := map[room]time.Duration{}
	seen := map[event]bool{}
	for s := range int64(300) {
		for _, ev := range schedule(1, s, users) {
			if ev.kind == evTicker || ev.kind == evTrade {
				continue
			}
			id := ev
			id.at = 0
			if seen[id] {
				t.Errorf("%+v occurs twice", ev)
			}
			seen[id] = true
			if gap := ev.at - last[room{ev.kind, ev.index}]; gap > 14*time.Second {
				t.Errorf("kind %d of user %d is silent for %v until %v", ev.kind, ev.index, gap, ev.at)
			}
			last[room{ev.kind, ev.index}] = ev.at
		}
	}
	if len(last) != 4*users+1 {
		t.Errorf("%d rooms get messages, want %d", len(last), 4*users+1)
	}
	cycles := int(300 * time.Second / userCycle)
	if min := users*(cycles-1)*len(userSteps) + 29; len(seen) < min {
		t.Errorf("%d steps, want at least %d", len(seen), min)
	}
}

func TestInstruments(t *testing.T) {
	sum, names := 0.0, map[string]bool{}
	for n, i := range instruments {
		sum += i.share
		names[i.base] = true
		if n < 6 && (i.share < .06 || i.share > .25) {
			t.Errorf("%s has a share of %v", i.base, i.share)
		}
		if i.share <= 0 || i.price <= 0 {
			t.Errorf("%s: share %v, price %v", i.base, i.share, i.price)
		}
	}
	if len(names) < 50 || len(names) != len(instruments) || sum < .999 || sum > 1.001 {
		t.Errorf("%d symbols with %d names share %v", len(instruments), len(names), sum)
	}
}
