package route

import (
	"fmt"
	"strings"
	"testing"

	"tapecast/ingest/jsonscan"
	"tapecast/rooms"
)

// testCatalog returns the rooms of the design card, and some that overlap.
func testCatalog(t testing.TB) *rooms.Catalog {
	t.Helper()
	market := &rooms.Class{Name: "market", Conflate: true, Snapshot: true}
	stream := &rooms.Class{Name: "stream"}
	private := &rooms.Class{Name: "private", Owner: "{sub}", Lag: rooms.LagClose}
	c, err := rooms.NewCatalog([]*rooms.Pattern{
		{Match: "prices", Class: market},
		{Match: "prices:*", Class: market},
		{Match: "trades", Class: stream},
		{Match: "trades:*", Class: stream},
		{Match: "trades:index:*", Class: stream},
		{Match: "trades:TOTAL", Class: stream},
		{Match: "raw", Class: stream},
		{Match: "own:*", Class: stream},
		{Match: "system_alerts", Class: stream},
		{Match: "user:{owner}", Class: private},
		{Match: "orders:{owner}", Class: private},
		{Match: "portfolio:{owner}", Class: private},
		{Match: "notifications:{owner}", Class: private},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(t testing.TB, c *rooms.Catalog, routes ...Route) *Router {
	t.Helper()
	r, _, faults := Compile(routes, c)
	for _, f := range faults {
		t.Fatalf("route %d, %s: %s", f.Route, f.Field, f.Msg)
	}
	return r
}

func pattern(t testing.TB, c *rooms.Catalog, match string) *rooms.Pattern {
	t.Helper()
	for _, p := range c.Patterns() {
		if p.Match == match {
			return p
		}
	}
	t.Fatalf("no pattern %q", match)
	return nil
}

func TestCompileMarksPatterns(t *testing.T) {
	c := testCatalog(t)
	r, feeds, faults := Compile([]Route{
		{Topic: "market.ticker", Rooms: []string{"prices", "prices:{s}"}, Key: "{s}", Type: "price_update"},
		{Topic: "market.trades", Rooms: []string{"trades", "trades:{s}"}, Type: "trade_update"},
		{Topic: "private.orders", Rooms: []string{"orders:{@key}"}, Type: "order_update", Partitioner: "murmur2"},
		{Topic: "events", Match: map[string]string{"metadata.eventType": "portfolio.*"},
			Rooms: []string{"portfolio:{metadata.userId}"}, Key: "{data.asset}", Payload: "data"},
		{Topic: "events", Match: map[string]string{"metadata.eventType": "system.*"},
			Rooms: []string{"system_alerts"}, Payload: "data"},
		{Topic: "raw", Rooms: []string{"raw"}, Envelope: "none", Format: "binary"},
	}, c)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var names []string
	for _, f := range feeds {
		names = append(names, f.Topic())
	}
	if got := strings.Join(names, " "); got != "market.ticker market.trades private.orders events raw" {
		t.Errorf("feeds: %s", got)
	}
	if len(r.Feeds()) != len(feeds) || r.Feeds()[3] != feeds[3] {
		t.Error("Router.Feeds differs from what Compile returned")
	}
	f := func(match, topic string, bare bool) {
		t.Helper()
		p := pattern(t, c, match)
		got := ""
		if p.Feed != nil {
			got = p.Feed.Topic()
		}
		if got != topic || p.Bare != bare {
			t.Errorf("%s: fed by %q, bare %v; want %q, %v", match, got, p.Bare, topic, bare)
		}
	}
	f("prices", "market.ticker", false)
	f("prices:*", "market.ticker", false)
	f("trades", "market.trades", false)
	f("trades:*", "market.trades", false)
	f("trades:index:*", "market.trades", false) // trades:{s} may land here too
	f("trades:TOTAL", "market.trades", false)
	f("orders:{owner}", "private.orders", false)
	f("portfolio:{owner}", "events", false)
	f("system_alerts", "events", false)
	f("raw", "raw", true)
	f("user:{owner}", "", false)

	// A second Compile replaces the first.
	compile(t, c, Route{Topic: "t", Rooms: []string{"raw"}, Type: "x"})
	f("raw", "t", false)
	f("orders:{owner}", "", false)
}

// The wildcard pattern of one topic may cover a pattern that another topic feeds.
func TestCompileSpecialPatternOfAnotherTopic(t *testing.T) {
	c := testCatalog(t)
	compile(t, c,
		Route{Topic: "totals", Rooms: []string{"trades:TOTAL"}},
		Route{Topic: "trades", Rooms: []string{"trades:{s}"}},
	)
	if got := pattern(t, c, "trades:TOTAL").Feed.Topic(); got != "totals" {
		t.Errorf("trades:TOTAL is fed by %q, want totals", got)
	}
}

// compiles returns functions that compile routes, or one route, and compare the faults: "route field: words
// of the message".
func compiles(t *testing.T) (f func(routes []Route, want ...string), one func(r Route, want ...string)) {
	f = func(routes []Route, want ...string) {
		t.Helper()
		_, _, faults := Compile(routes, testCatalog(t))
		for i, fault := range faults {
			got := fmt.Sprintf("%d %s: %s", fault.Route, fault.Field, fault.Msg)
			if i >= len(want) {
				t.Errorf("also %s", got)
				continue
			}
			head, words, _ := strings.Cut(want[i], ": ")
			if !strings.HasPrefix(got, head+": ") || !strings.Contains(fault.Msg, words) {
				t.Errorf("fault %q, want %q", got, want[i])
			}
		}
		if len(faults) < len(want) {
			t.Errorf("missing: %q", want[len(faults):])
		}
	}
	one = func(r Route, want ...string) {
		t.Helper()
		f([]Route{r}, want...)
	}
	return f, one
}

func TestCompileRooms(t *testing.T) {
	_, one := compiles(t)
	one(Route{Topic: "t", Rooms: []string{"trades"}})
	one(Route{Rooms: []string{"trades"}}, "0 topic: is missing")
	one(Route{Topic: "no blanks", Rooms: []string{"trades"}}, "0 topic: not a name of a Kafka topic")
	one(Route{Topic: strings.Repeat("t", 250), Rooms: []string{"trades"}}, "0 topic: not a name of a Kafka topic")
	one(Route{Topic: "t"}, "0 rooms: is empty")
	one(Route{Topic: "t", Rooms: []string{""}}, "0 rooms: empty name")
	one(Route{Topic: "t", Rooms: []string{"trade"}},
		`0 rooms: add under rooms one such as {match: "trade", class: stream}`)
	one(Route{Topic: "t", Rooms: []string{"acct:{@key}"}},
		`0 rooms: "acct:{@key}" matches no room pattern: add under rooms `+
			`{match: "acct:{owner}", class: private} if each is one user's, or {match: "acct:*", class: stream} if `+
			`anybody may read them`)
	one(Route{Topic: "t", Rooms: []string{"book:{s}:{depth}"}},
		`0 rooms: add under rooms one such as {match: "book:*", class: stream} if anybody may read them`)
	one(Route{Topic: "t", Rooms: []string{"{s}"}}, "0 rooms: begins with a placeholder")
	one(Route{Topic: "t", Rooms: []string{"trades:*"}}, "0 rooms: only room patterns may")
	one(Route{Topic: "t", Rooms: []string{"trades", "trades"}}, "0 rooms: twice")
	one(Route{Topic: "t", Rooms: []string{"trades:{s"}}, "0 rooms: never closed")
	one(Route{Topic: "t", Rooms: []string{"trades:{s{t}}"}}, "0 rooms: never closed")
	one(Route{Topic: "t", Rooms: []string{"trades:s}"}}, "0 rooms: without a {")
	one(Route{Topic: "t", Rooms: []string{"trades:{}"}}, "0 rooms: empty placeholder")
	one(Route{Topic: "t", Rooms: []string{"trades:{@keys}"}}, "0 rooms: neither @key")
	one(Route{Topic: "t", Rooms: []string{"trades:{@header.}"}}, "0 rooms: without a name")
	one(Route{Topic: "t", Rooms: []string{"trades:{a..b}"}}, "0 rooms: empty step")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Key: "{"}, "0 key: never closed")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Type: "{.}"}, "0 type: empty step")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Match: map[string]string{"": "x", "a": "", "@b": "c"}},
		"0 match: empty placeholder", "0 match: neither @key", "0 match: has no glob")
}

func TestCompileFields(t *testing.T) {
	_, one := compiles(t)
	one(Route{Topic: "t", Rooms: []string{"trades"}, Payload: "a."}, "0 payload: empty step")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Payload: "{data}"},
		`0 payload: "{data}" has braces, which only rooms, key and type take: write data`)
	one(Route{Topic: "t", Rooms: []string{"trades"}, Payload: "$.data"}, "0 payload: begins with $")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Match: map[string]string{"{e}": "x"}}, "0 match: write e")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Keyframe: Keyframe{"{e}", "x"}}, "0 keyframe.field: write e")
	one(Route{Topic: "t", Rooms: []string{"trades:{ s }"}, Key: "{s }"}, `0 key: white space around the name "s"`,
		`0 rooms: white space around the name "s"`)
	one(Route{Topic: "t", Rooms: []string{"trades"}, Key: "k\xff", Type: "\xff"}, "0 key: not UTF-8",
		"0 type: not UTF-8")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Type: strings.Repeat("x", 257)}, "0 type: has 257 bytes")
	one(Route{Topic: "t", Rooms: []string{"trades"}, KeyFormat: "long"},
		"0 key_format: write utf8, int32, int64, hex or base64")
	one(Route{Topic: "t", Rooms: []string{"trades"}, KeyFormat: "int64"},
		"0 key_format: no part of the route takes {@key}")
	one(Route{Topic: "t", Rooms: []string{"trades"}, KeyFormat: "int64", Match: map[string]string{"@key": "1*"}})
	one(Route{Topic: "t", Rooms: []string{"o{kind}:{@key}"}},
		`0 rooms: gives names of room pattern "orders:{owner}", which is private, and of "own:*"`)
	one(Route{Topic: "t", Rooms: []string{"or{kind}:{@key}"}})
	one(Route{Topic: "t", Rooms: []string{"trades"}, Payload: "@key"}, "0 payload: not a part of the value")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Envelope: "json"}, "0 envelope: write none")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Format: "avro"}, "0 format: write json or binary")
	one(Route{Topic: "t", Rooms: []string{"trades"}, Format: "binary"}, "0 format: add envelope: none")
	one(Route{Topic: "t", Rooms: []string{"raw"}, Format: "binary", Envelope: "none"})
	one(Route{Topic: "t", Rooms: []string{"trades:{s}"}, Format: "binary", Envelope: "none", Key: "{s}", Payload: "d",
		Type: "{e}", Match: map[string]string{"a": "b"}},
		"0 key: reads the value", "0 type: reads the value", "0 match: reads the value", "0 payload: reads the value",
		"0 rooms: reads the value")
	one(Route{Topic: "t", Rooms: []string{"orders:{@key}"}, Partitioner: "random"},
		"0 partitioner: choose one of consistent, consistent_random, fnv1a, fnv1a_random, murmur2, murmur2_random")
	one(Route{Topic: "t", Rooms: []string{"orders:{id}"}, Partitioner: "murmur2"})    // a check, whatever the room is
	one(Route{Topic: "t", Rooms: []string{"orders:x{@key}"}, Partitioner: "murmur2"}) // a check, whatever the room is
	one(Route{Topic: "t", Rooms: []string{"trades", "orders:{@key}"}, Partitioner: "consistent"})
}

func TestCompileTogether(t *testing.T) {
	f, one := compiles(t)
	ok := Route{Topic: "t", Rooms: []string{"trades"}}
	one(Route{Topic: "t", Rooms: []string{"prices:{s}"}, Key: "{s}", Tombstones: true},
		"0 rooms: which a tombstone does not have", "0 key: which a tombstone does not have")
	one(Route{Topic: "t", Rooms: []string{"prices", "prices:{@key}"}, Key: "{@key}", Tombstones: true})
	one(Route{Topic: "t", Rooms: []string{"trades:{s}"}, Key: "{s}", Tombstones: true}) // not conflated
	f([]Route{{Topic: "t", Rooms: []string{"prices"}, Key: "{s}"},
		{Topic: "t", Rooms: []string{"raw"}, Tombstones: true}}, "0 key: which a tombstone does not have")

	f([]Route{ok, {Topic: "u", Rooms: []string{"trades"}}}, `1 rooms: which route 0 feeds from topic "t"`)
	f([]Route{{Topic: "t", Rooms: []string{"trades:{s}"}}, {Topic: "u", Rooms: []string{"trades:{x}:{y}"}}},
		`1 rooms: which route 0 feeds from topic "t"`)
	f([]Route{ok, ok}, "1 rooms: sent twice")
	f([]Route{
		{Topic: "t", Rooms: []string{"trades"}, Match: map[string]string{"e": "trade*"}},
		{Topic: "t", Rooms: []string{"trades"}, Match: map[string]string{"e": "agg*"}},
		{Topic: "t", Rooms: []string{"trades"}, Match: map[string]string{"e": "*Trade"}},
	}, "2 rooms: filled by route 0", "2 rooms: filled by route 1")
	f([]Route{
		{Topic: "t", Rooms: []string{"raw"}, Match: map[string]string{"e": "a"}},
		{Topic: "t", Rooms: []string{"raw"}, Match: map[string]string{"e": "b"}, Envelope: "none"},
	}, "1 envelope: either bare or not")
	f([]Route{ // of producers that differ
		{Topic: "t", Rooms: []string{"orders:{@key}"}, Match: map[string]string{"e": "a"}, Partitioner: "murmur2"},
		{Topic: "t", Rooms: []string{"orders:{@key}"}, Match: map[string]string{"e": "b"}, Partitioner: "fnv1a"},
		{Topic: "t", Rooms: []string{"orders:{u}"}, Match: map[string]string{"e": "c"}},
	})

	// All at once.
	f([]Route{{}, {Topic: "t", Rooms: []string{"nowhere"}, Envelope: "x"}},
		"0 topic: missing", "0 rooms: is empty", "1 envelope: not known", "1 rooms: matches no room pattern")
}

func TestGlobMatch(t *testing.T) {
	f := func(glob, s string, want bool) {
		t.Helper()
		if got := globMatch(glob, []byte(s)); got != want {
			t.Errorf("%q matches %q: %v, want %v", s, glob, got, want)
		}
	}
	f("portfolio.*", "portfolio.update", true)
	f("portfolio.*", "portfolio.", true)
	f("portfolio.*", "portfolio", false)
	f("*", "", true)
	f("**", "x", true)
	f("", "", true)
	f("", "x", false)
	f("a*b*c", "a1b2c", true)
	f("a*b*c", "abcbc", true)
	f("a*b*c", "acb", false)
	f("*.x", "a.b.x", true)
	f("*.x", "a.b.xx", false)
	f("abc", "abc", true)
	f("abc", "abcd", false)
	f("é*", "été", true)
}

func TestGlobsOverlap(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if globsOverlap(a, b) != want || globsOverlap(b, a) != want {
			t.Errorf("%q and %q overlap: want %v", a, b, want)
		}
	}
	f("", "", true)
	f("", "*", true)
	f("", "a", false)
	f("a", "a", true)
	f("a", "b", false)
	f("prices:*", "prices", false)
	f("prices:*", "prices:*", true)
	f("prices:*", "prices:index", true)
	f("*x", "y*", true)
	f("*x*", "y", false)
	f("a*c", "ab*", true)
	f("a*c", "ab*d", false)
	f("portfolio.*", "notification.*", false)
	f("*", "anything", true)
	f("a*b*c", "a*c", true)
	f("**a", "a**", true)
}

func FuzzGlobs(f *testing.F) {
	f.Add("a*b", "*b", "aab")
	f.Add("*", "", "")
	f.Fuzz(func(t *testing.T, a, b, s string) {
		if len(a)+len(b)+len(s) > 100 {
			return
		}
		if globMatch(a, []byte(s)) && globMatch(b, []byte(s)) && !globsOverlap(a, b) {
			t.Fatalf("%q matches %q and %q, but globsOverlap is false", s, a, b)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"prices:{s}", "{@key}", "{@header.x}:{a.b}", "{", "}", "a{b}c{d}", "{{}}", "{@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := parseTemplate(text, jsonscan.NewTree())
		if err != nil {
			return
		}
		if tmpl.constant() {
			if strings.ContainsAny(text, "{}") {
				t.Fatalf("%q is taken as constant", text)
			}
			return
		}
		if !globMatch(tmpl.glob(), []byte(strings.NewReplacer("{", "", "}", "").Replace(text))) {
			t.Fatalf("%q has the glob %q, which it does not match", text, tmpl.glob())
		}
	})
}
