package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const stormConfig = `
server: {listen: "127.0.0.1:0", drain: 3s}
limits: {messages_per_second: 0, pending: 0, request_cost: 0, snapshot_bytes: 0}
classes:
  private: {retain: {age: RETAIN}}
  stream: {retain: {age: RETAIN}}
rooms:
  - {match: "trades", class: stream}
  - {match: "orders:{owner}", class: private}
auto_join: [trades, "orders:{sub}"]
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
    - {topic: orders, rooms: ["orders:{@key}"], type: order_update, partitioner: murmur2}
`

// TestStorm: all clients of a node lose it and come to another one at once, each behind on a busy
// room and on its own room. All of them catch up, exactly. Clients that were there already hardly
// notice, and the memory is given back.
func TestStorm(t *testing.T) {
	onEachAlone(t, func(t *testing.T, k *cluster) {
		size := stormSizeOf(k)
		k.topic(t, "trades", size.tradeParts)
		k.topic(t, "orders", size.orderParts)
		w, timed := k.producer(t), k.producer(t, "linger.ms", 0)
		if k.full() {
			k.warm(t, w, 25*time.Second)
		}
		crowd := newCrowd(t, size.users, func(n int) string { return fmt.Sprint("s", n) })
		s := newStorm(newOwners(crowd), size.tradeParts, w, timed)
		stays := newStayers(t, size.stayed)
		defer stays.disperse()
		defer s.disperse()
		conf := config(k, strings.ReplaceAll(stormConfig, "RETAIN", size.retain))
		a, b := start(t, conf), start(t, conf)
		stays.arrive(0, func(g *guest) (*gateway, string, []byte) { return b, "?token=" + b.token(g.user), nil })

		s.do(func() { s.ended = func(*guest, int) {} })
		s.meet(a)
		stop := s.publish(tradeRate, size.orders, size.stayed)
		defer stop()
		s.do(func() {
			for _, g := range s.guests {
				s.hold(g, true)
			}
		})
		s.pack(b)
		if k.full() {
			k.standApart(t)
		}
		// It hangs before it is lost, and sends nothing that the machine has no time for.
		a.cmd.Process.Signal(syscall.SIGSTOP)
		went := &stormFigures{stormSize: size, heap: b.heap(), rss: b.resident()}
		stays.latencies() // of the time in which all came
		s.lasts(size.behind)
		went.calmTrades, went.calmOrders = stays.latencies()
		a.cmd.Process.Kill()
		<-a.exited
		s.disperse()
		s.strikes(b, went)
		went.stormTrades, went.stormOrders = stays.latencies()
		if k.full() {
			s.lasts(10 * time.Second)
		}
		went.laterTrades, went.laterOrders = stays.latencies()
		stop()
		s.exactly(k.read(t, "orders"))
		s.exactTrades(k.read(t, "trades"))
		went.log(t, b, spread(slices.Clone(s.level)))
		with := b.heap()
		s.disperse()
		eventually(t, patience, "they are gone", func() bool { return b.connections() == size.stayed })
		t.Logf("resident %.0f MB before, %.0f at most; heap %.1f MB before, %.1f with all of them", went.rss,
			went.peak, went.heap/1e6, with/1e6)
		if k.full() {
			went.withinBars(t, b)
		}
	})
}

// strikes lets all clients come to a node at once, until they have caught up.
func (s *storm) strikes(b *gateway, went *stormFigures) {
	s.t.Helper()
	s.do(func() { s.ended = s.faultEnd })
	went.began = time.Now()
	s.back(went.over, b)
	went.came = time.Since(went.began)
	went.peak = b.resident()
	s.await(time.Minute, "all have caught up", func() bool {
		went.peak = max(went.peak, b.resident())
		return s.levelled()
	})
	went.caught = time.Since(went.began)
}

const tradeRate = 20 // a second

// storm is owners that are also members of the room trades, where each record is theirs.
type storm struct {
	*owners
	w, timed *producer // of the crowd's orders, and of everything else
	epoch    string
	at       [][]int64 // by user and partition: the last trade that it has seen
	due      [][]int64 // the last one that existed when it came back
	produced []atomic.Int64
	hellos   [][]byte // by user: token and positions
}

func newStorm(o *owners, parts int, w, timed *producer) *storm {
	s := &storm{owners: o, w: w, timed: timed, produced: make([]atomic.Int64, parts)}
	for range o.guests {
		s.at, s.due = append(s.at, make([]int64, parts)), append(s.due, make([]int64, parts))
	}
	s.crowd.frame, s.said, s.also = s.take, s.hear, s.hasTrades
	return s
}

func (s *storm) take(g *guest, p []byte) {
	if !bytes.HasPrefix(p, tradesStart) {
		s.owners.take(g, p)
	} else if part, off, prev, _, ok := posOf(p); !ok || off != s.at[g.n][part]+1 || prev != noPrev && prev != off-1 {
		s.fault(g, "after %v of trades came %.200s", s.at[g.n], p)
		return
	} else {
		s.at[g.n][part] = off
		s.reached(g)
	}
}

// hasTrades reports whether a guest has all trades that existed when it came back.
func (s *storm) hasTrades(g *guest) bool {
	for p, due := range s.due[g.n] {
		if s.at[g.n][p] < due {
			return false
		}
	}
	return true
}

func (s *storm) hear(g *guest, method string, p notified) {
	if method == "auto_subscribed" && s.first[g.n].epoch == "" {
		at, err := joinedAt(p, "trades")
		if err != nil {
			s.fault(g, "%v", err)
		}
		for part, off := range at.at {
			s.at[g.n][part] = off
		}
		s.epoch = at.epoch
	}
	if method == "positions" {
		var m map[string]positions
		if err := json.Unmarshal(p.Params, &m); err != nil {
			s.fault(g, "%v in %s", err, p.Params)
		}
		for part, off := range m["trades"].at {
			if off != s.at[g.n][part] {
				s.fault(g, "trades is level at %d:%d, and %v was seen", part, off, s.at[g.n])
			}
		}
	}
	s.owners.hear(g, method, p)
}

// publish writes trades and orders at the given rates until it is stopped. The orders go to the
// clients that stayed.
func (s *storm) publish(trades, orders float64, stayed int) (stop func()) {
	var enough atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		// The orders of the crowd wait for it, so these are apart. Clients that stayed get five times as many.
		defer hurry()()
		began := time.Now()
		for i := 0; !enough.Load(); i++ {
			due(began, time.Duration(float64(i)/(6*trades)*float64(time.Second)))
			value := fmt.Appendf(nil, `{"at":%d,"i":%d,"pad":"%090d"}`, time.Now().UnixNano(), i, i)
			if i%6 > 0 {
				s.timed.send("orders", anyPartition, fmt.Append(nil, "stays", i%stayed), value)
				continue
			}
			part := i / 6 % len(s.produced)
			s.timed.send("trades", int32(part), nil, value)
			s.produced[part].Add(1)
		}
	})
	both.Go(func() {
		rnd, began := rand.New(rand.NewPCG(5, 5)), time.Now()
		for o, at := 0, time.Duration(0); !enough.Load(); at += 20 * time.Millisecond {
			due(began, at)
			n := int(time.Since(began).Seconds()*orders) - o
			s.orders(s.w, n, rnd, o)
			o += n
		}
	})
	return func() {
		enough.Store(true)
		both.Wait()
		s.w.flush()
		s.timed.flush()
	}
}

// lasts waits until so much time's trades were published.
func (s *storm) lasts(d time.Duration) {
	s.t.Helper()
	published := func() (n int64) {
		for p := range s.produced {
			n += s.produced[p].Load()
		}
		return n
	}
	to := published() + int64(tradeRate*d.Seconds())
	eventually(s.t, d+time.Minute, "trades of "+d.String(), func() bool { return published() >= to })
}

// pack prepares what guests that no longer read will say to another node: clients' machines have
// time for that while they wait.
func (s *storm) pack(node *gateway) {
	s.hellos = nil
	for _, g := range s.guests {
		trades := positions{s.epoch, map[int32]int64{}}
		for p, off := range s.at[g.n] {
			trades.at[int32(p)] = off
		}
		s.hellos = append(s.hellos, request("authenticate", map[string]any{"token": node.token(g.user),
			"since": map[string]any{"trades": trades.object(), "orders:" + g.user: s.since[g.n].object()}}))
	}
}

// back is owners.back with both positions.
func (s *storm) back(over time.Duration, node *gateway) {
	s.do(func() {
		for i := range s.level {
			s.level[i] = -1
		}
	})
	s.arrive(over, func(g *guest) (*gateway, string, []byte) { // the guest hears nothing until it is connected
		for p := range s.due[g.n] {
			s.due[g.n][p] = s.produced[p].Load() - 1
		}
		return node, "", s.hellos[g.n]
	})
}

// exactTrades: each guest has all trades since it joined. take has checked their order.
func (s *storm) exactTrades(topic [][]record) {
	s.t.Helper()
	for p, recs := range topic {
		for i, r := range recs {
			if r.offset != int64(i) {
				s.t.Fatalf("record %d of partition %d has offset %d", i, p, r.offset)
			}
		}
	}
	s.await(patience, "all trades", func() bool {
		return !slices.ContainsFunc(s.guests, func(g *guest) bool {
			for p := range topic {
				if s.at[g.n][p] < int64(len(topic[p])-1) {
					return true
				}
			}
			return false
		})
	})
}
