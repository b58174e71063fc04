package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/valyala/fastjson"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// demoCatalog returns the rooms that Routes feed.
func demoCatalog(t testing.TB) *rooms.Catalog {
	t.Helper()
	public, private := &rooms.Class{Name: "public"}, &rooms.Class{Name: "private", Owner: "{sub}"}
	var list []*rooms.Pattern
	for _, m := range []string{"prices", "prices:*", "trades", "trades:*", "system_alerts", "keyed:*"} {
		list = append(list, &rooms.Pattern{Match: m, Class: public})
	}
	for _, m := range []string{"user:{owner}", "portfolio:{owner}", "orders:{owner}", "notifications:{owner}"} {
		list = append(list, &rooms.Pattern{Match: m, Class: private})
	}
	c, err := rooms.NewCatalog(list)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// demoRouter compiles Routes.
func demoRouter(t testing.TB) *route.Router {
	t.Helper()
	router, _, faults := route.Compile(Routes(), demoCatalog(t))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return router
}

func TestGeneratedMarket(t *testing.T) {
	users := Users()
	if !slices.Contains(users, "42") {
		t.Error("42 is not a demo user")
	}
	start := time.UnixMilli(1699123456789)
	g, same := newGenerator(5, start, users), newGenerator(5, start, users)
	router := demoRouter(t)
	lastRoom, frames := map[string]time.Duration{}, map[string]int{}
	now := time.Duration(0)
	d := route.NewDecoder(1<<20, func(r *rooms.Record) {
		lastRoom[string(r.Room)] = now
		frames[string(r.Room)]++
	})
	trades := map[string]int64{}
	prices := map[string]map[string]bool{}
	sizes := 0
	for now < 3*time.Minute {
		p := g.next()
		if q := same.next(); p.topic != q.topic || p.key != q.key || p.at != q.at || !bytes.Equal(p.value, q.value) {
			t.Fatalf("two generators differ: %s and %s", p.value, q.value)
		}
		if p.at < now {
			t.Fatalf("a record at %v after one at %v", p.at, now)
		}
		now = p.at
		if !json.Valid(p.value) {
			t.Fatalf("not JSON: %s", p.value)
		}
		if b := d.Route(router.Topic(p.topic), &route.Record{Key: []byte(p.key), Value: p.value}); b.Reason != 0 {
			t.Fatalf("%s: %s: %s", p.topic, b.Detail(), p.value)
		}
		v := fastjson.MustParseBytes(p.value)
		if p.topic == "market.trades" {
			s, id := string(v.GetStringBytes("s")), v.GetInt64("t")
			if last, ok := trades[s]; ok && id != last+1 {
				t.Fatalf("trade %d of %s after %d", id, s, last)
			}
			trades[s] = id
			sizes += len(p.value)
			if prices[s] == nil {
				prices[s] = map[string]bool{}
			}
			prices[s][string(v.GetStringBytes("p"))] = true
			if s != p.key {
				t.Fatalf("key %q of a trade of %q", p.key, s)
			}
		}
	}
	if len(trades) < 50 || len(prices["BTCUSDT"]) < 100 {
		t.Errorf("%d symbols traded, BTCUSDT at %d prices", len(trades), len(prices["BTCUSDT"]))
	}
	if n := frames["trades"]; sizes/n < 115 || sizes/n > 150 {
		t.Errorf("a trade has %d bytes in the mean", sizes/n)
	}
	for _, room := range []string{"prices", "trades", "system_alerts", "prices:BTCUSDT", "trades:ETHUSDT"} {
		if frames[room] < 10 {
			t.Errorf("%s: %d frames in three minutes", room, frames[room])
		}
	}
	for _, u := range users {
		for _, kind := range []string{"user:", "portfolio:", "orders:", "notifications:"} {
			if n := frames[kind+u]; n < 15 || lastRoom[kind+u] < now-15*time.Second {
				t.Errorf("%s: %d frames in three minutes, the last at %v", kind+u, n, lastRoom[kind+u])
			}
		}
	}
}

func TestOrderLives(t *testing.T) {
	g := newGenerator(1, time.Unix(1700000000, 0), []string{"42"})
	states := map[string]int{}
	var life []string
	for len(states) == 0 || states["NEW"] < 30 {
		p := g.next()
		if p.topic != "private.orders" {
			continue
		}
		v := fastjson.MustParseBytes(p.value)
		status := string(v.GetStringBytes("status"))
		states[status]++
		if status == "NEW" && len(life) > 0 {
			if got := strings.Join(life, " "); got != "NEW PARTIALLY_FILLED FILLED" &&
				got != "NEW PARTIALLY_FILLED CANCELED" {
				t.Fatalf("an order's life: %s", got)
			}
			life = nil
		}
		life = append(life, status)
		if v.GetInt64("orderId") == 0 || p.key != "42" || string(v.GetStringBytes("userId")) != "42" {
			t.Fatalf("%s", p.value)
		}
	}
	if states["CANCELED"] == 0 || states["FILLED"] < states["CANCELED"] {
		t.Errorf("states: %v", states)
	}
}

func TestAmount(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := amount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	f(0, `"0.00000000"`)
	f(1, `"0.00000001"`)
	f(6183763000000, `"61837.63000000"`)
	f(-250000000, `"-2.50000000"`)
}

func TestStartMarketRefuses(t *testing.T) {
	for _, users := range [][]string{{""}, {`a"b`}, {"a\nb"}} {
		if _, err := StartMarket(t.Context(), []string{"127.0.0.1:1"}, users, nil); err == nil {
			t.Errorf("users %q are taken", users)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartMarket(ended, []string{"127.0.0.1:1"}, nil, nil); err == nil {
		t.Error("a market starts although its context has ended")
	}
}

// The market stops at once even without a broker.
func TestMarketStopsWithoutBroker(t *testing.T) {
	t.Parallel()
	m, err := StartMarket(t.Context(), []string{"127.0.0.1:1"}, Users(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Stop()
	m.Stop()
}

// The market's records arrive at the embedded broker: trades in the order of their ids, orders
// in the partition of the route's partitioner.
func TestMarketOnEmbedded(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), Topics(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	m, err := StartMarket(t.Context(), e.Addrs(), Users(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	router, d := demoRouter(t), route.NewDecoder(1<<20, func(*rooms.Record) {})
	d.Counts = []int32{3}
	last, orders := map[string]int64{}, 0
	readAll(t, e.Addrs(), []string{"market.trades", "private.orders"}, func(m *kafka.Message) bool {
		if *m.TopicPartition.Topic == "private.orders" {
			d.Route(router.Topic("private.orders"),
				&route.Record{Partition: m.TopicPartition.Partition, Key: m.Key, Value: m.Value})
			if d.Misplaced {
				t.Errorf("order of %s in partition %d", m.Key, m.TopicPartition.Partition)
			}
			orders++
		} else {
			id := fastjson.GetInt(m.Value, "t")
			if was, ok := last[string(m.Key)]; ok && int64(id) != was+1 {
				t.Errorf("trade %d of %s after %d", id, m.Key, was)
			}
			last[string(m.Key)] = int64(id)
		}
		return orders < 4 || len(last) < 10
	})
	if m.made.Load() == 0 || m.failed.Load() != 0 {
		t.Errorf("%d records made, %d failed", m.made.Load(), m.failed.Load())
	}
}

func TestMarketComplainsOnce(t *testing.T) {
	var log bytes.Buffer
	m := &Market{log: slog.New(slog.NewTextHandler(&log, nil))}
	topic := "t"
	for range 3 {
		m.reported(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic,
			Error: errors.New("no such topic")}})
	}
	m.reported(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}})
	if m.failed.Load() != 3 || strings.Count(log.String(), "cannot produce") != 1 {
		t.Errorf("%d failed, log %s", m.failed.Load(), log.String())
	}
}

// readAll reads topics from their beginning until more returns false.
func readAll(t testing.TB, brokers, topics []string, more func(*kafka.Message) bool) {
	t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(brokers, ","), "group.id": "test", "enable.auto.commit": false,
		"fetch.wait.max.ms": 20, "enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var parts []kafka.TopicPartition
	for _, topic := range topics {
		md, err := c.GetMetadata(&topic, false, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range md.Topics[topic].Partitions {
			parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.OffsetBeginning})
		}
	}
	if err := c.Assign(parts); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(testwait.Patience); time.Now().Before(end); {
		if m, ok := c.Poll(100).(*kafka.Message); ok && !more(m) {
			return
		}
	}
	t.Fatal("the expected records have not come within 30 s")
}
