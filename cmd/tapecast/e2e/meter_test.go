package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

const meterConfig = `
limits:
  tiers:
    slow: {bytes_per_second: 16KiB}
    fast: {}
classes: {kept: {retain: {age: 5m}}}
rooms:
  - {match: "trades:*", class: kept}
auto_join: []
ingest:
  routes:
    - {topic: trades, rooms: ["trades:{s}"], type: trade_update}
`

// TestBytesPerSecond: the messages of an account with a limit come later, its requests are answered
// meanwhile, and others notice nothing. Without the limit, after SIGHUP, the rest comes, all of it.
func TestBytesPerSecond(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	g := start(t, config(k, meterConfig))
	in := func(tier string) *client {
		c := dial(t, g, dialing{query: "?token=" + tierToken(t, tier, tier)})
		c.call("subscribe", map[string]any{"rooms": []string{"trades:A"}})
		return c
	}
	slow, fast := in("slow"), in("fast")
	const n = 200
	has := func(c *client, want int) func() bool {
		return func() bool { return len(c.rooms["trades:A"].frames) >= want }
	}
	w, began := k.producer(t), time.Now()
	for i := range n {
		w.send("trades", 0, nil, fmt.Appendf(nil, `{"s":"A","i":%d,"pad":"%s"}`, i, bytes.Repeat([]byte("x"), 4000)))
	}
	fast.await("all", has(fast, n))
	eventually(t, patience, "it is counted", func() bool {
		return g.metric("tapecast_limited_total", `limit="bytes_per_second"`) > 0
	})
	slow.call("ping", map[string]any{})
	slow.await("some", has(slow, 1))
	slow.update(func() { // 800 KB take some 50 s
		if len(slow.rooms["trades:A"].frames) == n {
			t.Error("all messages came at once")
		}
	})
	g.reloadWith("slow: {bytes_per_second: 16KiB}", "slow: {}", "tiers reloaded")
	slow.await("all", has(slow, n))
	for _, c := range []*client{slow, fast} {
		c.check()
		if c.rooms["trades:A"].gaps != 0 {
			t.Error("a message was skipped")
		}
	}
	if n := g.metric("tapecast_limited_total", `limit="bytes_per_second"`); n > 1+time.Since(began).Seconds() {
		t.Errorf("it is counted %v times in %v", n, time.Since(began))
	}
}

// TestTiersTopic: rows of a topic go before those of the configuration, from the start on and as they
// change, for those who are connected. A bad one leaves its tier as it was, and a tombstone leaves it to
// the configuration again.
func TestTiersTopic(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "tiers", 1)
	w := k.producer(t)
	put := func(tier, row string) {
		var value []byte
		if row != "" {
			value = []byte(row)
		}
		w.send("tiers", 0, []byte(tier), value)
		w.flush()
	}
	put("pro", `{"rooms_per_connection":4,"rooms_per_wildcard":4}`)
	put("gold", `{"rooms_per_connection":5}`)
	g := start(t, config(k, strings.Replace(tierConfig, "limits:\n", "limits:\n  tiers_topic: tiers\n", 1)))
	in := map[string]*client{}
	for _, tier := range []string{"pro", "gold", "basic"} {
		in[tier] = dial(t, g, dialing{query: "?token=" + tierToken(t, tier, tier)})
	}
	have := func(what, tier string, want int) {
		t.Helper()
		t.Log(what, tier)
		in[tier].joinsOf(t, want)
	}
	taken := func(n float64) {
		t.Helper()
		eventually(t, patience, "the records are taken", func() bool {
			return g.metric("tapecast_tier_records_total") == n
		})
	}
	have("the start", "pro", 4)
	have("the start", "gold", 5)
	have("the start", "basic", 3)
	put("pro", `{"rooms_per_connection":6}`)
	put("gold", `{"rooms_per_connection":"five"}`)
	taken(4)
	have("a record", "pro", 6)
	eventually(t, patience, "degraded", func() bool {
		_, body := g.get("/health")
		return strings.Contains(body, `key \"gold\", partition 0, offset 3`)
	})
	have("a bad record", "gold", 5)
	g.reloadWith("basic: {", "basic: {rooms_per_connection: 2, ", "tiers reloaded")
	have("SIGHUP", "basic", 2)
	have("SIGHUP", "pro", 6)
	put("pro", "")
	put("gold", "")
	taken(6)
	have("a tombstone", "pro", 5)
	have("a tombstone", "gold", 3)
	eventually(t, patience, "healthy", func() bool {
		_, body := g.get("/health")
		return strings.HasPrefix(body, `{"status":"healthy"`)
	})
	for _, c := range in {
		c.check()
	}
}
