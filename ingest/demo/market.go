package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// generator turns the schedule into records: the same ones for the same seed, start and users. It
// belongs to one goroutine.
type generator struct {
	seed  uint64
	start time.Time
	users []string

	second int64   // the next one to schedule
	events []event // the rest of the second before
	rand   *rand.Rand
	coins  []coin
	owners []owner
	buf    []byte
}

// coin is the state of one symbol. Amounts are in units of 1e-8, as exchanges write them.
type coin struct {
	symbol                 string
	base                   string
	price, open, high, low int64
	tick, lot              int64
	volume, turnover       float64
	trade                  int64 // id of the last trade; grows by exactly 1
}

// produced is one record. Its value is valid until the next call of generator.next.
type produced struct {
	at         time.Duration // since the start
	topic, key string
	value      []byte
}

const unit = 1e8

func newGenerator(seed uint64, start time.Time, users []string) *generator {
	g := &generator{seed: seed, start: start, users: users, rand: rand.New(rand.NewPCG(seed, 0))}
	for _, i := range instruments {
		price := int64(i.price * unit)
		c := coin{
			symbol: i.base + "USDT", base: i.base, price: price, open: price, high: price, low: price,
			// The last of five digits of a price moves. A lot is about a thousandth of an order.
			tick: powerOfTen(float64(price) / 1e5), lot: powerOfTen(unit / i.price),
			// A later start has higher ids: no symbol has a thousand trades a second.
			trade: start.Unix() * 1000,
		}
		c.price -= c.price % c.tick
		g.coins = append(g.coins, c)
	}
	for range users {
		g.owners = append(g.owners,
			owner{held: map[string]int64{"USDT": 25_000 * unit, "BTC": unit / 2, "ETH": 5 * unit}})
	}
	return g
}

// powerOfTen returns the greatest power of ten up to x, and at least 1.
func powerOfTen(x float64) int64 {
	p := int64(1)
	for float64(p)*10 <= x {
		p *= 10
	}
	return p
}

func (g *generator) next() produced {
	for len(g.events) == 0 {
		g.events = schedule(g.seed, g.second, len(g.users))
		g.second++
	}
	ev := g.events[0]
	g.events = g.events[1:]
	p := produced{at: ev.at}
	ms := g.start.Add(ev.at).UnixMilli()
	g.buf = g.buf[:0]
	switch ev.kind {
	case evTicker:
		c := &g.coins[ev.index]
		g.walk(c)
		p.topic, p.key = "market.ticker", c.symbol
		g.buf = c.appendTicker(g.buf, ms)
	case evTrade:
		c := &g.coins[ev.index]
		g.walk(c)
		c.trade++
		p.topic, p.key = "market.trades", c.symbol
		g.buf = c.appendTrade(g.buf, ms, g.size(c), g.rand.IntN(2) == 0)
	case evAlert:
		p.topic, p.key = "events", "system"
		g.buf = g.appendAlert(g.buf, ev, ms)
	default:
		p.topic, p.key = "events", g.users[ev.index]
		if ev.kind == evOrder {
			p.topic = "private.orders"
		}
		g.buf = g.appendOwn(g.buf, ev, ms)
	}
	p.value = g.buf
	return p
}

// walk moves the price a little, with a drift back to the first price. Without the drift it
// would approach zero within a few days.
func (g *generator) walk(c *coin) {
	move := g.rand.NormFloat64()*2e-5 + 1e-6*math.Log(float64(c.open)/float64(c.price))
	c.price += int64(math.Round(float64(c.price)*move/float64(c.tick))) * c.tick
	c.price = max(c.price, c.tick)
	c.high, c.low = max(c.high, c.price), min(c.low, c.price)
}

// size draws the size of a trade, worth some hundred USDT, and counts it.
func (g *generator) size(c *coin) int64 {
	value := 200 * math.Exp(g.rand.NormFloat64()*1.2)
	n := int64(value*unit/float64(c.price)*unit) / c.lot * c.lot
	n = max(n, c.lot)
	c.volume += float64(n) / unit
	c.turnover += float64(n) / unit * float64(c.price) / unit
	return n
}

func (c *coin) appendTrade(b []byte, ms, size int64, maker bool) []byte {
	return fmt.Appendf(b, `{"e":"trade","E":%d,"s":"%s","t":%d,"p":%s,"q":%s,"T":%d,"m":%t,"M":true}`, ms, c.symbol,
		c.trade, amount(c.price), amount(size), ms-1, maker)
}

func (c *coin) appendTicker(b []byte, ms int64) []byte {
	return fmt.Appendf(b,
		`{"e":"24hrMiniTicker","E":%d,"s":"%s","c":%s,"o":%s,"h":%s,"l":%s,"v":"%.8f","q":"%.8f"}`, ms, c.symbol,
		amount(c.price), amount(c.open), amount(c.high), amount(c.low), c.volume, c.turnover)
}

// amount returns a number of 1e-8 as a quoted decimal with eight digits after the point.
// Exchanges send strings, so that no client loses digits.
func amount(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf(`"%s%d.%08d"`, sign, n/unit, n%unit)
}
