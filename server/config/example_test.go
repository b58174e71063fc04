package config

import (
	"strings"
	"testing"
	"time"
)

// designExample is the sample of the design's section 5, completed by what it
// leaves out: brokers, a key, and patterns for the rest of auto_join.
const designExample = `
kafka:
  brokers: [kafka-1:9092, kafka-2:9092]
  librdkafka:
    queued.max.messages.kbytes: 65536
auth:
  secret: 0123456789abcdef0123456789abcdef
classes:
  market: {conflate: true, snapshot: true, retain: {bytes: 8MiB, age: 10s}, interval: 0s, max_keys: 20000, key_ttl: 24h}
  private: {owner: "{sub}", lag: close, retain: {age: 30s}}
rooms:                      # pattern -> class; anything else is an unknown room
  - {match: "prices", class: market}
  - {match: "prices:*", class: market, max_rooms: 20000}
  - {match: "trades", class: stream}
  - {match: "trades:*", class: stream, max_rooms: 20000}
  - {match: "system_alerts", class: alert}
  - {match: "user:{owner}", class: private}
  - {match: "portfolio:{owner}", class: state}
  - {match: "orders:{owner}", class: private}
  - {match: "notifications:{owner}", class: private}
auto_join: [prices, trades, system_alerts, "user:{sub}", "portfolio:{sub}", "orders:{sub}", "notifications:{sub}"]
ingest:
  routes:                   # every route that fits applies
    - {topic: market.ticker, rooms: ["prices", "prices:{@key}"], key: "{@key}", type: price_update}
    - {topic: market.trades, rooms: ["trades", "trades:{s}"], type: trade_update}
    - {topic: private.orders, rooms: ["orders:{@key}"], type: order_update, partitioner: murmur2}
    # one topic of events in envelopes {"metadata":{…},"data":{…}}:
    - topic: events
      match: {metadata.eventType: "portfolio.*"}
      rooms: ["portfolio:{metadata.userId}"]
      key: "{data.asset}"
      payload: data
    - {topic: events, match: {metadata.eventType: "system.*"}, rooms: ["system_alerts"], payload: data}
`

func TestDesignExamplePasses(t *testing.T) {
	cfg := mustLoad(t, designExample)
	if got := cfg.Classes["market"]; got != (Class{
		Conflate: true, Snapshot: true, Retain: Retain{Bytes: 8 << 20, Age: 10 * time.Second},
		Lag: "skip", MaxKeys: 20000, KeyTTL: 24 * time.Hour,
	}) {
		t.Errorf("market is %+v", got)
	}
	if r := cfg.Ingest.Routes; len(r) != 5 || r[3].Match["metadata.eventType"] != "portfolio.*" ||
		r[3].Payload != "data" ||
		r[2].Partitioner != "murmur2" || strings.Join(r[0].Rooms, " ") != "prices prices:{@key}" {
		t.Errorf("the routes are %+v", r)
	}
	want := "2 brokers, 5 routes from 4 topics, 9 room patterns, 6 classes, 7 rooms joined automatically, HS256"
	if got := cfg.Summary(); got != want {
		t.Errorf("summary: %s\nwant:    %s", got, want)
	}
}

// Any line of the example that is broken is named by its number.
func TestDesignExampleBroken(t *testing.T) {
	f := func(old, new, want string) {
		t.Helper()
		text := strings.Replace(designExample, old, new, 1)
		if text == designExample {
			t.Fatalf("%q is not in the example", old)
		}
		_, err := load(t, text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got\n%v\nwant\n%s", new, err, want)
		}
	}
	f("interval: 0s", "intervall: 0s",
		"c.yaml:9: classes.market.intervall: unknown key; did you mean classes.market.interval?")
	f(`"prices:*", class: market`, `"prices:*", class: markt`,
		`c.yaml:13: rooms[1].class: "markt" is unknown; did you mean market?`)
	f(`"{sub}", lag`, `sub, lag`, `c.yaml:10: classes.private.owner: "sub" is not an owner`)
	f(`"user:{sub}"`, `"usr:{sub}"`,
		`c.yaml:21: auto_join[3]: "usr:{sub}" fits no pattern of rooms; did you mean user:{sub}?`)
	f(`key: "{@key}"`, `keys: "{@key}"`,
		`c.yaml:24: ingest.routes[0].keys: unknown key; did you mean ingest.routes[0].key?`)
	f(`"trades:{s}"`, `"trade:{s}"`, `c.yaml:25: ingest.routes[1].rooms: "trade:{s}" matches no room pattern`)
	f("murmur2", "murmur", `c.yaml:26: ingest.routes[2].partitioner: "murmur" is not a partitioner`)
}
