package worker

import (
	"fmt"
	"strconv"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// pingID is the id of a client's first ping. The next pings count up from it.
const pingID = 1000

// pingPatience is how long the last answers are waited for.
const pingPatience = 10 * time.Second

// pinger pings. Like messages, pings are due by a schedule. If the gateway or the loop is
// late for one, that one takes longer, and those after it are sent all the same.
type pinger struct {
	order    job.Order
	clients  int64
	next     int64   // number of the next ping; clients ping in turn
	answered []int32 // by client: how many of its pings were answered
	sent     []int32
	waiting  int64
	settled  bool
	out      *job.PingTally
}

func newPinger(o job.Order, clients int) *pinger {
	return &pinger{
		order: o, clients: int64(clients), answered: make([]int32, clients), sent: make([]int32, clients),
		out: &job.PingTally{Latency: job.NewHist()},
	}
}

// due returns when ping n is due, counted over all clients.
func (x *pinger) due(n int64) int64 {
	round, at := n/x.clients, n%x.clients
	return x.order.From + round*int64(x.order.Every) + at*int64(x.order.Every)/x.clients
}

func (x *pinger) step(l *loop, now int64) bool {
	for ; x.due(x.next) <= now && x.due(x.next) < x.order.To; x.next++ {
		i := int(x.next % x.clients)
		c := &l.clients[i]
		if c.state != stJoined {
			continue // its connection has ended, and pings no more
		}
		x.sent[i]++
		x.waiting++
		x.out.Sent++
		l.ask(i, c, fmt.Sprintf(`{"jsonrpc":"2.0","method":"ping","id":%d}`, pingID+int64(x.sent[i])-1))
	}
	if now < x.order.To || x.waiting > 0 && now < x.order.To+int64(pingPatience) && l.joined > 0 {
		return true
	}
	x.settle(now)
	return false
}

// answeredBy takes a message, and reports whether it is the answer to a ping.
func (x *pinger) answeredBy(i int, m *proto.Message, now int64) bool {
	id, err := strconv.ParseInt(string(m.ID), 10, 64)
	k := id - pingID
	if err != nil || m.Method != "" || k < 0 || k != int64(x.answered[i]) || k >= int64(x.sent[i]) {
		return false
	}
	x.answered[i]++
	x.waiting--
	if m.Error != nil {
		x.out.Refused++
		return true
	}
	x.record(i, k, now)
	return true
}

// record times ping k of client i.
func (x *pinger) record(i int, k, now int64) {
	if due := x.due(k*x.clients + int64(i)); due >= x.order.Timed {
		x.out.Latency.Record(max(0, now-due))
	}
}

func (x *pinger) settle(now int64) {
	if x.settled {
		return
	}
	x.settled = true
	for i := range x.sent {
		for k := x.answered[i]; k < x.sent[i]; k++ {
			x.out.Unanswered++
			x.record(i, int64(k), now)
		}
	}
}
