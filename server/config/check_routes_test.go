package config

import (
	"strings"
	"testing"
)

// TestRouteWarnings: what can be run, and is most likely a mistake.
func TestRouteWarnings(t *testing.T) {
	f := func(rooms, routes string, want ...string) {
		t.Helper()
		cfg := mustLoad(t, "auto_join: []\nrooms: ["+rooms+"]\ningest:\n  routes:\n"+routes)
		got := cfg.Warnings()
		for i := range got {
			if i < len(want) && !strings.HasPrefix(got[i], "ingest.routes["+want[i]) {
				t.Errorf("warning %d is %s\nwant %s", i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d warnings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		}
	}
	const orders, public = `{match: "orders:{owner}", class: private}`, `, {match: "orders:public:*", class: stream}`
	f(orders, `  - {topic: a, rooms: ["orders:{@key}"]}`)
	f(orders+public, `  - {topic: a, rooms: ["orders:{@key}"]}`,
		`0].rooms: "orders:{@key}" is for rooms of pattern "orders:{owner}", but names that begin with `+
			`"orders:public:" would fall into "orders:public:*"`)
	f(orders+`, {match: "orders:all", class: stream}`, `  - {topic: a, rooms: ["orders:{@key}"]}`,
		`0].rooms: "orders:{@key}" is for rooms of pattern "orders:{owner}", but the name "orders:all" would fall `+
			`into "orders:all"`)
	f(`{match: "user:{owner}", class: private}, {match: "user:desk:{owner}", class: private}`,
		`  - {topic: a, rooms: ["user:{@key}"]}`,
		`0].rooms: "user:{@key}" is for rooms of pattern "user:{owner}", but names that begin with "user:desk:"`)

	const prices, trades = `{match: "prices:*", class: market}, {match: prices, class: market}`,
		`, {match: "trades:*", class: stream}`
	f(prices+trades, `  - {topic: a, rooms: ["prices:{@key}", prices], key: "{@key}"}
  - {topic: b, rooms: ["trades:{s}"], key: "{s}"}`)
	f(prices, `  - {topic: a, rooms: ["prices:{s}"]}
  - {topic: a, rooms: [prices], key: "{s}"}`,
		`0].rooms: "prices:{s}" comes from the value`,
		`1].key: "{s}" comes from the value, which a tombstone does not have, and class "market" of room "prices"`)
	f(`{match: "portfolio:{owner}", class: state}`, `  - {topic: a, rooms: ["portfolio:{@key}"], key: "{asset}"}`,
		`0].key: "{asset}" comes from the value`)
	// Events in envelopes are not rows of a table.
	f(prices, `  - {topic: a, match: {kind: price}, rooms: [prices], key: "{data.s}", payload: data}`)

	const acct = orders + `, {match: "acct:*", class: stream}`
	f(acct, `  - {topic: acct.events, match: {type: "order.*"}, rooms: ["orders:{@key}"]}
  - {topic: acct.events, match: {type: "balance.*"}, rooms: ["acct:{@key}"]}`,
		`1].rooms: "acct:{@key}" is public, by room pattern "acct:*" of class "stream", and its topic "acct.events" `+
			`feeds private rooms too ("orders:{owner}")`)
	f(acct, `  - {topic: a, rooms: ["orders:{@key}"]}
  - {topic: b, rooms: ["acct:{@key}"]}`)
	const alerts = orders + `, {match: alerts, class: alert}`
	f(alerts, `  - {topic: a, rooms: ["orders:{@key}", alerts]}`, `0].rooms: "alerts" is public`)
	f(alerts, `  - {topic: a, match: {type: order}, rooms: ["orders:{@key}"]}
  - {topic: a, match: {type: alert}, rooms: [alerts]}`)
}

func TestRouteFaults(t *testing.T) {
	f := func(routes string, want ...string) {
		t.Helper()
		faultsOf(t, "kafka: {dead_letter: dead}\ningest:\n  routes:\n"+routes, want...)
	}
	f("  - {topic: a, rooms: [prices]}\n  - {rooms: [\"trade:{s}\"]}\n  - {topic: b, rooms: [trades], format: bin}",
		`c.yaml:5: ingest.routes[1].topic: is missing: name the Kafka topic that the route reads`,
		`c.yaml:5: ingest.routes[1].rooms: "trade:{s}" matches no room pattern: add under rooms {match: `+
			`"trade:{owner}", class: private} if each is one user's, `+
			`or {match: "trade:*", class: stream} if anybody may read them`,
		`c.yaml:6: ingest.routes[2].format: "bin" is not known: write json or binary`)
	// A route whose value was refused lacks nothing.
	f("  - {topic: a, rooms: prices}",
		`c.yaml:4: ingest.routes[0].rooms: cannot take the text "prices"; write a list, such as [a, b]`)
	f("  - {topic: dead, rooms: [prices]}",
		`c.yaml:4: ingest.routes[0].topic: "dead" is kafka.dead_letter too, so that refused records would come back; `+
			`route another topic`)
	f("  - {topic: a, rooms: [prices], payload: \"{data}\", key_format: long}",
		`c.yaml:4: ingest.routes[0].key_format: "long" is not known: write utf8, int32, int64, hex or base64`,
		`c.yaml:4: ingest.routes[0].payload: "{data}" has braces, which only rooms, key and type take: write data`)
	// Several faults of one key are all told.
	f("  - {topic: a, rooms: [x, y]}",
		`c.yaml:4: ingest.routes[0].rooms: "x" matches no room pattern: add under rooms one such as {match: "x", `+
			`class: stream}`,
		`c.yaml:4: ingest.routes[0].rooms: "y" matches no room pattern: add under rooms one such as {match: "y", `+
			`class: stream}`)
	// Only one of the rooms joined automatically may be bare.
	faultsOf(t, "auto_join: [prices, trades]\ningest:\n  routes:\n  - {topic: a, rooms: [prices], envelope: none}\n  "+
		"- {topic: b, rooms: [trades], envelope: none}",
		`c.yaml:1: auto_join[1]: "trades" and "prices" both have bare frames, of which a connection takes one room `+
			`only; remove one`)
}
