package e2e

import (
	"bytes"
	"fmt"
	"testing"
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
	w := k.producer(t)
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
	if n := g.metric("tapecast_limited_total", `limit="bytes_per_second"`); n > 60 {
		t.Errorf("it is counted %v times", n)
	}
}
