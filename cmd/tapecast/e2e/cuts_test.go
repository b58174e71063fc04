package e2e

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const cutsConfig = `
server: {listen: "127.0.0.1:0", drain: 3s}
limits: {messages_per_second: 0, pending: 0, request_cost: 0, snapshot_bytes: 0}
rooms:
  - {match: "trades", class: stream}
classes:
  stream: {keep: true, lag: close, retain: {age: RETAIN}}
auto_join: [trades]
ingest:
  routes:
    - {topic: trades, rooms: [trades], key: "{s}", type: trade_update}
`

const cutsPartitions = 3

// TestTradesCut: the recorded trades, and clients that are cut at random, with a close and
// without. They resume some time later on one of two nodes, and one node dies and is started
// again. Each client has every trade exactly once on the wire. A client that a busy machine
// keeps from reading is closed with 4208: it resumes as the others do.
func TestTradesCut(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		clients, rows, times, away, retain := 60, scaled().smallRows, 20.0, 3*time.Second, "1s"
		if k.full() {
			clients, rows, times, away, retain = 2000, scaled().tradeRows, 4, 60*time.Second, "10s"
		}
		recorded := trades(t, rows)
		over := time.Duration(float64(recorded[len(recorded)-1].at) / times)
		k.topic(t, "trades", cutsPartitions)
		conf := config(k, strings.ReplaceAll(cutsConfig, "RETAIN", retain))
		c := newCuts(newCrowd(t, clients, func(n int) string { return fmt.Sprint("c", n) }), away,
			start(t, conf), start(t, conf))
		defer c.disperse()
		c.arrive(0, func(g *guest) (*gateway, string, []byte) {
			return c.node(g),
				"?token=" + c.nodes[0].token(g.user), nil
		})
		c.await(time.Minute, "all are in",
			func() bool { return !slices.ContainsFunc(c.of, func(x cut) bool { return !x.in }) })

		w := k.producer(t)
		produced := w.meanwhile(func() {
			pace(recorded, times, func(r row) bool {
				w.send("trades", partitionOf(r.key, cutsPartitions), []byte(r.key), r.payload)
				return true
			})
		})
		lost := time.AfterFunc(over/2, func() {
			c.dead.Store(true)
			c.nodes[1].cmd.Process.Kill()
		})
		defer lost.Stop()
		c.roam(over, away+time.Minute, func(g *guest, end bool) time.Duration {
			c.restart(conf)
			return c.step(g, end)
		})
		<-produced
		w.flush()
		topic := k.read(t, "trades")
		c.exactly(topic)
		t.Logf("%d trades in %s, each exactly once at each of %d clients, which came back %d times: after %d closes, "+
			"%d cuts, %d times too slow, and the end of a node",
			len(recorded), over.Round(time.Second), clients, c.returns, c.closed, c.killed, c.slow)
		for _, g := range c.nodes {
			t.Logf("a node read %v records again in %v reads for %v who asked",
				g.metric("tapecast_recall_records_total"),
				g.metric("tapecast_recall_reads_total"), g.metric("tapecast_recall_asked_total"))
		}
		if c.closed < clients/4 || c.killed < clients/4 || c.slow > c.closed+c.killed || !c.again {
			t.Error("this shows little")
		}
	})
}

// cut is what one guest has got, over all its connections.
type cut struct {
	in, closing bool
	away        bool
	at          [cutsPartitions]int64  // the last offset
	sum         [cutsPartitions]uint32 // of all payloads
}

// cuts is a crowd of such guests, and their nodes.
type cuts struct {
	*crowd
	nodes   []*gateway
	epoch   string
	of      []cut
	most    time.Duration // longest time that a guest is away
	dead    atomic.Bool
	again   bool // the node has been started again
	returns int
	closed  int
	killed  int
	slow    int
}

func newCuts(c *crowd, away time.Duration, nodes ...*gateway) *cuts {
	x := &cuts{crowd: c, nodes: nodes, of: make([]cut, len(c.guests)), most: away}
	for i := range x.of {
		x.of[i].at = [cutsPartitions]int64{-1, -1, -1}
	}
	c.frame, c.said = x.take, x.hear
	c.ended = x.gone
	return x
}

func (c *cuts) node(g *guest) *gateway { return c.nodes[rand.IntN(len(c.nodes))] }

// take accepts the next offset and no other.
func (c *cuts) take(g *guest, p []byte) {
	x := &c.of[g.n]
	part, off, prev, rest, ok := posOf(p)
	_, data, whole := bytes.Cut(rest, dataLabel)
	if !ok || !whole || off != x.at[part]+1 || prev != noPrev && prev != off-1 {
		c.fault(g, "after %v came %.200s", x.at, p)
		return
	}
	x.at[part] = off
	x.sum[part] = crc32.Update(x.sum[part], crc32.IEEETable, data[:len(data)-1])
}

func (c *cuts) hear(g *guest, method string, p notified) {
	switch {
	case p.Error != nil:
		c.fault(g, "%+v", *p.Error)
	case method == "gap" || method == "reset":
		c.fault(g, "%s %s", method, p.Params)
	case method == "auto_subscribed":
		at, err := joinedAt(p, "trades")
		if err != nil {
			c.fault(g, "%v", err)
		}
		c.of[g.n].in = true
		c.epoch = at.epoch
	}
}

// gone handles a connection that the gateway closed, or that died with it.
func (c *cuts) gone(g *guest, code int) {
	x := &c.of[g.n]
	switch {
	case code == 4208:
		c.slow++
	case !x.closing && !c.dead.Load():
		c.fault(g, "closed with %d", code)
	}
	x.in, x.closing, x.away = false, false, true
}

// step does the next thing of a guest.
func (c *cuts) step(g *guest, end bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &c.of[g.n]
	switch {
	case x.away:
		at := positions{c.epoch, map[int32]int64{}}
		for p, off := range x.at {
			at.at[int32(p)] = off
		}
		node := c.node(g)
		hello := request("authenticate",
			map[string]any{"token": node.token(g.user), "since": map[string]any{"trades": at.object()}})
		c.returns++
		x.away = false
		c.mu.Unlock()
		err := c.dial(g, node, "", hello)
		c.mu.Lock()
		if err != nil { // the node that has died
			x.away = true
			if !c.dead.Load() {
				c.fault(g, "cannot connect: %v", err)
			}
		}
		if end {
			return 50 * time.Millisecond
		}
		return upTo(c.most / 2)
	case !x.in || x.closing:
		return 50 * time.Millisecond
	case end:
		return settled
	case rand.IntN(2) == 0:
		c.closed++
		x.closing = true
		c.write(g, frameBytes(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	default:
		c.killed++
		c.drop(g)
		x.in, x.away = false, true
	}
	return upTo(c.most)
}

// restart starts the dead node again, as another process with nothing in memory.
func (c *cuts) restart(conf string) {
	select {
	case <-c.nodes[1].exited:
	default:
		return
	}
	if c.again {
		return
	}
	c.nodes[1] = start(c.t, conf)
	c.again = true
}

// exactly compares what each guest has got with the topic, once all have got so much.
func (c *cuts) exactly(topic [][]record) {
	c.t.Helper()
	var ends [cutsPartitions]int64
	var sums [cutsPartitions]uint32
	for p, recs := range topic {
		ends[p] = -1
		for _, r := range recs {
			ends[p] = r.offset
			sums[p] = crc32.Update(sums[p], crc32.IEEETable, r.value)
		}
	}
	began := time.Now()
	c.roam(0, 2*time.Minute, func(g *guest, _ bool) time.Duration {
		x := &c.of[g.n]
		all := false
		c.do(func() {
			if all = x.at == ends; !all && time.Since(began) > time.Minute {
				c.fault(g, "has trades up to %v of %v; in %v, away %v", x.at, ends, x.in, x.away)
			}
		})
		if all {
			return settled
		}
		c.step(g, true)
		return 50 * time.Millisecond
	})
	for i, x := range c.of {
		if x.sum != sums {
			c.t.Errorf("client %d has other trades than the topic", i)
		}
	}
}
