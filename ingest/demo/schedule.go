package demo

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The schedule of the generated market has the times of its events, but not the prices. It is
// a pure function of a seed and a second, so a test can go through hours of it without waiting.
//
// Its statistics are those of the recordings that the design card measures:
// 805 messages a second in the mean, 2,700 in the second of the 99th
// percentile, about 5,800 in the busiest, and bursts of more than 1,600 trades
// within 100 ms. TestScheduleStatistics checks them.
const (
	calmMean  = 770.0 // messages a second without the bursts
	calmSigma = 0.50  // spread of the seconds: lognormal
	calmMax   = 4500.0
	tradeOf   = 0.13 // share of trades; the rest are tickers
	clump     = 3    // trades of one order, in the mean

	// One second in each two and a half minutes has a burst. That is less than one in a
	// hundred, so that the 99th percentile is a second without a burst.
	burstEvery  = 150
	burstTrades = 1660 // within 100 ms
	burstAfter  = 900  // trades in the rest of the second
	burstTicks  = 2900 // tickers in that second
)

// userCycle is how often a demo user's order runs through its life.
const userCycle = 8 * time.Second

// alertEvery is the time between two system alerts.
const alertEvery = 10 * time.Second

type eventKind uint8

const (
	evTicker eventKind = iota
	evTrade
	evOrder        // a step of a user's order; n: the step
	evPortfolio    // n: 0 the asset, 1 the quote
	evNotification // after the order's last step
	evMessage      // to a room user:
	evAlert        // to all
)

type event struct {
	at    time.Duration // since the start
	kind  eventKind
	n     uint8
	index int16 // of the symbol, or of the user
	cycle int32 // number of the user's order, or of the alert
}

// userSteps are the events of one user's cycle.
var userSteps = []event{
	{at: 0, kind: evOrder, n: 0},
	{at: 1500 * time.Millisecond, kind: evOrder, n: 1},
	{at: 3000 * time.Millisecond, kind: evOrder, n: 2},
	{at: 3001 * time.Millisecond, kind: evPortfolio, n: 0},
	{at: 3002 * time.Millisecond, kind: evPortfolio, n: 1},
	{at: 3004 * time.Millisecond, kind: evNotification},
	{at: 5000 * time.Millisecond, kind: evMessage},
}

// schedule returns the events of one second (the first is 0), for that many users, by time.
func schedule(seed uint64, second int64, users int) []event {
	r := rand.New(rand.NewPCG(seed, uint64(second)))
	begin := time.Duration(second) * time.Second
	total := min(calmMean*math.Exp(calmSigma*r.NormFloat64()-calmSigma*calmSigma/2), calmMax)
	trades := int(total * tradeOf)
	ticks := int(total) - trades
	var list []event
	if bursts(seed, second) {
		trades, ticks = burstAfter, burstTicks
		from := time.Duration(r.Int64N(int64(900 * time.Millisecond)))
		list = spread(list, r, evTrade, burstTrades, begin+from, 100*time.Millisecond, clump*4)
	}
	list = spread(list, r, evTrade, trades, begin, time.Second, clump)
	list = spread(list, r, evTicker, ticks, begin, time.Second, 1)
	for u := range users {
		list = appendUser(list, begin, u)
	}
	for n := int32(begin / alertEvery); ; n++ {
		at := time.Duration(n)*alertEvery + 2*time.Second
		if at >= begin+time.Second {
			break
		}
		if at >= begin {
			list = append(list, event{at: at, kind: evAlert, cycle: n})
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return int(a.at - b.at) })
	return list
}

// bursts reports whether a second has a burst. Each window has one. The first window's comes
// early, so that a short look shows one.
func bursts(seed uint64, second int64) bool {
	window := second / burstEvery
	at := rand.New(rand.NewPCG(seed, ^uint64(window))).Int64N(burstEvery)
	if window == 0 {
		at = 10 + at/5
	}
	return second%burstEvery == at
}

// spread adds n events of a kind, at random times within a duration. Events of one symbol come
// in clumps of random length; the mean is size.
func spread(list []event, r *rand.Rand, kind eventKind, n int, from, within time.Duration, size int) []event {
	for n > 0 {
		at := from + time.Duration(r.Int64N(int64(within)))
		index := pick(r.Float64())
		for k := min(n, 1+r.IntN(2*size-1)); k > 0; k-- {
			list = append(list, event{at: at, kind: kind, index: index})
			n--
		}
	}
	return list
}

// pick returns the index of the symbol for a number from 0 to 1, by share.
func pick(x float64) int16 {
	for i := range instruments {
		if x -= instruments[i].share; x < 0 {
			return int16(i)
		}
	}
	return 0
}

// appendUser adds one user's events of the second that begins at begin.
func appendUser(list []event, begin time.Duration, user int) []event {
	phase := time.Duration(user) * 1300 * time.Millisecond % userCycle
	for c := max(0, (begin-phase)/userCycle-1); ; c++ {
		start := phase + c*userCycle
		if start >= begin+time.Second {
			return list
		}
		for _, ev := range userSteps {
			if ev.at += start; ev.at >= begin && ev.at < begin+time.Second {
				ev.index, ev.cycle = int16(user), int32(c)
				list = append(list, ev)
			}
		}
	}
}
