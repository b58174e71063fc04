package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
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
		g.buf = fmt.Appendf(g.buf,
			`{"e":"24hrMiniTicker","E":%d,"s":"%s","c":%s,"o":%s,"h":%s,"l":%s,"v":"%.8f","q":"%.8f"}`, ms, c.symbol,
			amount(c.price), amount(c.open), amount(c.high), amount(c.low), c.volume, c.turnover)
	case evTrade:
		c := &g.coins[ev.index]
		g.walk(c)
		c.trade++
		p.topic, p.key = "market.trades", c.symbol
		size, maker := g.size(c), g.rand.IntN(2) == 0
		g.buf = fmt.Appendf(g.buf, `{"e":"trade","E":%d,"s":"%s","t":%d,"p":%s,"q":%s,"T":%d,"m":%t,"M":true}`, ms,
			c.symbol, c.trade, amount(c.price), amount(size), ms-1, maker)
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

// amount returns a number of 1e-8 as a quoted decimal with eight digits after the point.
// Exchanges send strings, so that no client loses digits.
func amount(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf(`"%s%d.%08d"`, sign, n/unit, n%unit)
}

type owner struct {
	held  map[string]int64 // by asset
	order order
}

// order is one order. It is partly filled, and then filled or canceled.
type order struct {
	id          int64
	coin        int
	buy         bool
	price, size int64
	filled      int64
	cancel      bool // it ends canceled, not filled
	status      string
}

func (g *generator) appendOwn(b []byte, ev event, ms int64) []byte {
	o := &g.owners[ev.index]
	switch ev.kind {
	case evOrder:
		g.step(o, ev)
		return g.appendOrder(b, ev, o, ms)
	case evPortfolio:
		asset := g.coins[o.order.coin].base
		if ev.n == 1 {
			asset = "USDT"
		}
		b = g.appendMeta(b, "portfolio.updated", g.users[ev.index], ev, ms)
		return fmt.Appendf(b, `{"asset":"%s","free":%s,"locked":%s}}`, asset, amount(o.held[asset]), amount(0))
	case evNotification:
		b = g.appendMeta(b, "notification.order", g.users[ev.index], ev, ms)
		return fmt.Appendf(b,
			`{"level":"info","title":"Order %s","text":"Your order to %s %s is %[1]s.","orderId":%[4]d}}`,
			o.order.status, strings.ToLower(side(o.order.buy)), g.coins[o.order.coin].base, o.order.id)
	}
	b = g.appendMeta(b, "user.message", g.users[ev.index], ev, ms)
	return fmt.Appendf(b, `{"from":"desk","text":"%s"}}`, messages[int(ev.cycle)%len(messages)])
}

func (g *generator) step(o *owner, ev event) {
	if ev.n == 0 {
		r := rand.New(rand.NewPCG(g.seed+uint64(ev.index), uint64(ev.cycle)))
		n := r.IntN(12)
		c := &g.coins[n]
		size := max(int64(float64(50+r.IntN(400))*unit/float64(c.price)*unit)/c.lot, 2) * c.lot
		o.order = order{
			id:   g.start.Unix()*100_000 + int64(ev.cycle)*int64(len(g.users)) + int64(ev.index),
			coin: n, buy: r.IntN(2) == 0, price: c.price, size: size, cancel: r.IntN(5) == 0, status: "NEW",
		}
		return
	}
	from := o.order.filled
	switch {
	case ev.n == 1:
		o.order.filled, o.order.status = o.order.size/2, "PARTIALLY_FILLED"
	case o.order.cancel:
		o.order.status = "CANCELED"
	default:
		o.order.filled, o.order.status = o.order.size, "FILLED"
	}
	got := o.order.filled - from
	paid := int64(float64(got) / unit * float64(o.order.price))
	if !o.order.buy {
		got, paid = -got, -paid
	}
	base := g.coins[o.order.coin].base
	o.held[base] = max(0, o.held[base]+got)
	o.held["USDT"] = max(0, o.held["USDT"]-paid)
}

func (g *generator) appendOrder(b []byte, ev event, o *owner, ms int64) []byte {
	c := &g.coins[o.order.coin]
	return fmt.Appendf(b, `{"orderId":%d,"userId":"%s","symbol":"%s","side":"%s","type":"LIMIT","status":"%s",`+
		`"price":%s,"quantity":%s,"filled":%s,"time":%d}`, o.order.id, g.users[ev.index], c.symbol, side(o.order.buy),
		o.order.status, amount(o.order.price), amount(o.order.size), amount(o.order.filled), ms)
}

// appendMeta appends an envelope up to its data.
func (g *generator) appendMeta(b []byte, kind, user string, ev event, ms int64) []byte {
	if user != "" {
		user = `","userId":"` + user
	}
	return fmt.Appendf(b, `{"metadata":{"eventType":"%s","eventId":"%d-%d-%d%s","timestamp":%d},"data":`, kind,
		g.start.Unix(), int64(ev.index)<<8|int64(ev.kind)<<4|int64(ev.n), ev.cycle, user, ms)
}

func (g *generator) appendAlert(b []byte, ev event, ms int64) []byte {
	b = g.appendMeta(b, "system.notice", "", ev, ms)
	a := alerts[int(ev.cycle)%len(alerts)]
	return fmt.Appendf(b, `{"severity":"%s","text":"%s","number":%d}}`, a.severity, a.text, ev.cycle+1)
}

// messages and alerts are plain ASCII, and need no escapes in JSON.
var messages = []string{
	"Welcome back.", "Your weekly statement is ready.", "A price alert of yours was reached.",
	"Two-factor authentication is on.", "Your fee tier for this month is set.",
}

var alerts = []struct{ severity, text string }{
	{"info", "All systems run normally."},
	{"warning", "Withdrawals of one network are slower than usual."},
	{"info", "Withdrawals run normally again."},
	{"info", "Maintenance of the test network is due on Sunday."},
}

func side(buy bool) string {
	if buy {
		return "BUY"
	}
	return "SELL"
}
