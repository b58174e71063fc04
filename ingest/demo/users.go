package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

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
