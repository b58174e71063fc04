package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/limits"
)

func wildcardHandler(t *testing.T, change ...func(*config.Config)) *Handler {
	h := newTestHandler(t, append([]func(*config.Config){func(cfg *config.Config) {
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "prices:x:*", Class: "market"},
			config.Room{Match: "bare:*", Class: "stream"})
	}}, change...)...)
	for _, p := range h.catalog.Patterns() {
		p.Bare = p.Match == "bare:*"
	}
	return h
}

// TestWildcardSince: a position of the wildcard itself is the wildcard's, and not a room's.
func TestWildcardSince(t *testing.T) {
	c := login(t, wildcardHandler(t), "42")
	f := func(since string, places int, at int64, ms int64) {
		t.Helper()
		c.says(`{"method":"subscribe","params":{"rooms":["trades:A*"],"since":` + since + `},"id":1}`)
		r := c.asked[len(c.asked)-1]
		if len(r.SinceByRoom) != places || r.SinceTime != ms || (r.Since != nil) != (at > 0) || at > 0 &&
			r.Since.Offsets[0].Offset != at {
			t.Errorf("%s: %+v", since, r)
		}
	}
	f(`{"trades:A*":{"epoch":"e1","0":3}}`, 0, 3, 0)
	f(`{"trades:A*":{"epoch":"e1","0":3},"trades:AB":{"epoch":"e1","0":9}}`, 1, 3, 0)
	f(`{"trades:A*":{"ts":1699123456789}}`, 0, 0, 1699123456789)
	j := loop.Joined{Name: "trades:*", Class: "stream", Wildcard: true, Since: true}
	const head = `{"room":"trades:*","status":"joined","class":"stream","chain":false,"positions":{},"recovered":`
	if got := string(appendJoined(nil, &j, "joined")); got != head+`true,"rooms":[]}` {
		t.Errorf("got %s", got)
	}
	j.TooOld = &rooms.TooOldError{Why: "the topic begins later"}
	const why = `false,"error":{"code":-32008,"message":"position too old: the topic begins later",` +
		`"data":{"oldest":{}}},"rooms":[]}`
	if got := string(appendJoined(nil, &j, "joined")); got != head+why {
		t.Errorf("got %s", got)
	}
}

func TestWildcards(t *testing.T) {
	h := wildcardHandler(t)
	c := login(t, h, "42")
	c.under = []string{"trades:A", "trades:AB", "trades:B"}
	f := func(text, want string) {
		t.Helper()
		if got := c.says(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	room := func(name, status string) string {
		return fmt.Sprintf(`{"room":%q,"status":%q,"class":"stream","chain":true,"positions":{"epoch":"e1",`+
			`"0":7}}`, name, status)
	}
	back := strings.TrimSuffix(room("trades:A", "joined"), "}") + `,"recovered":true}`
	c.refuse = map[string]error{"trades:B": &rooms.TooOldError{}}
	late := room("trades:B", "left")
	f(`{"method":"subscribe","params":{"rooms":["trades:*","trades:C"],"since":{"trades:A":{"epoch":"e1","0":3},`+
		`"trades:B":{"epoch":"e1","0":3}}},"id":1}`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"trades:*","status":"joined","class":"stream",`+
			`"chain":true,"positions":{"epoch":"e1","0":7},"rooms":[`+back+","+room("trades:AB", "joined")+
			`,{"room":"trades:B","status":"joined","class":"stream","chain":true,"positions":{"epoch":"e1","0":7},`+
			`"recovered":false,"error":{"code":-32008,"message":"position too old: the gateway no longer holds what `+
			`came after it","data":{"oldest":{}}}}]},`+room("trades:C", "joined")+`]}}`)
	if r := c.asked[0]; len(r.SinceByRoom) != 2 || r.SinceByRoom["trades:A"].Epoch != "e1" || r.Since != nil {
		t.Errorf("the wildcard has positions %+v", r.SinceByRoom)
	}
	if s := sessionOf(c); s.rooms != 7+4 {
		t.Errorf("%d rooms are counted", s.rooms)
	}
	f(`{"method":"unsubscribe","params":{"rooms":["trades:*"]},"id":1}`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"trades:*","status":"left","class":"stream","chain":true,`+
			`"positions":{"epoch":"e1","0":7},"rooms":[`+room("trades:A", "left")+","+room("trades:AB",
			"left")+","+late+`]}]}}`)
	if s := sessionOf(c); s.rooms != 7+1 {
		t.Errorf("%d rooms are counted", s.rooms)
	}
	f(`{"method":"SUBSCRIBE","params":["trades:A*"],"id":1}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
	f(`{"method":"SUBSCRIBE","params":["trades:*A"],"id":1}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"subscription failed; \"trades:*A\": unknown room: `+
			`only a * at the end of a name is a wildcard"}}`)
	full := loop.Joined{Name: "trades:*", Class: "stream", Wildcard: true, Full: true}
	if got, want := string(appendJoined(nil, &full, "joined")),
		`{"room":"trades:*","status":"joined","class":"stream","chain":false,"positions":{},"full":true,`+
			`"rooms":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWildcardsRefused(t *testing.T) {
	h := wildcardHandler(t)
	c := login(t, h, "42")
	f := func(name string, code int, words string) {
		t.Helper()
		got := c.says(fmt.Sprintf(`{"method":"subscribe","params":{"rooms":[%q]},"id":1}`, name))
		if !strings.Contains(got, fmt.Sprintf(`{"room":%q,"error":{"code":%d,"message":`, name, code)) ||
			!strings.Contains(strings.ReplaceAll(got, `\"`, `"`), words) {
			t.Errorf("%s\ngot  %s\nwant code %d and %s", name, got, code, words)
		}
	}
	f("*", wire.CodeNoRoom, "must begin with")
	f("**", wire.CodeNoRoom, "only a * at the end")
	f("prices*", wire.CodeNoRoom, `such as "prices:`)
	f("price*", wire.CodeNoRoom, `such as "prices:`)
	f("trades*", wire.CodeNoRoom, `such as "trades:*"`)
	f("nope:*", wire.CodeNoRoom, "a wildcard must begin with the whole prefix of a pattern")
	f("order*", wire.CodeNoRoom, "prefix of a pattern\"}}")
	f("trades:*B", wire.CodeNoRoom, "only a * at the end")
	f("trades:*B*", wire.CodeNoRoom, "only a * at the end")
	f("prices:*", wire.CodeNoRoom, `to more than one pattern, "prices:*" and "prices:x:*": write more before the star`)
	f("prices:x*", wire.CodeNoRoom, "to more than one pattern")
	f("orders:*", wire.CodeForbidden, "each of these rooms is one user's; name your own")
	f("orders:42*", wire.CodeForbidden, "name your own")
	f("bare:*", wire.CodeParams, "bare frames")
	c.refuse = map[string]error{"trades:*": &loop.LimitError{Name: "rooms_per_wildcard", Most: 1000, Asked: 1200}}
	f("trades:*", wire.CodeLimit, "the wildcard has 1200 rooms, but rooms_per_wildcard is 1000")
	if h.limit.Refused[limits.WildcardRooms].Load() != 1 {
		t.Error("the limit was not counted")
	}
	if s := sessionOf(c); s.rooms != 7 || len(c.in) != 7 {
		t.Errorf("%d rooms are counted, in %q", s.rooms, c.in)
	}

	d := dial(t, h, tokenOf(t, "42", time.Hour), "join=manual")
	d.take()
	got := d.says(`{"method":"authenticate","params":{"join":["trades:*","trades"]},"id":2}`)
	if !strings.Contains(got, `"globalRooms":["trades"]`) ||
		!strings.Contains(got,
			`{"room":"trades:*","error":{"code":-32602,"message":"invalid params: wildcards are not joined on `+
				`authentication: send subscribe"}}`) {
		t.Errorf("got %s", got)
	}
}

func TestWildcardLimits(t *testing.T) {
	h := wildcardHandler(t,
		func(cfg *config.Config) { cfg.Limits.WildcardsPerConnection, cfg.Limits.RoomsPerConnection = 2, 10 })
	c := login(t, h, "42")
	c.under = []string{"trades:A1", "trades:A2", "trades:B1", "trades:B2"}
	got := c.says(`{"method":"subscribe","params":{"rooms":["trades:A*","trades:C","trades:B*","trades:C*"]},"id":1}`)
	for _, want := range []string{
		`{"room":"trades:A*","status":"joined","class":"stream","chain":true,"positions":{"epoch":"e1","0":7},` +
			`"rooms":[{"room":"trades:A1"`,
		`{"room":"trades:C","status":"joined"`,
		`{"room":"trades:B*","error":{"code":-32009,"message":"limit reached: the wildcard has 2 rooms, but ` +
			`rooms_per_connection is 10`,
		`{"room":"trades:C*","error":{"code":-32009,"message":"limit reached: wildcards_per_connection is 2"}}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant … %s", got, want)
		}
	}
	if s := sessionOf(c); s.rooms != 10 {
		t.Errorf("%d rooms are counted", s.rooms)
	}
	// A room by name that is one too many leaves the wildcards beside it alone.
	c.under = nil
	got = c.says(`{"method":"subscribe","params":{"rooms":["trades:D","trades:D*"]},"id":1}`)
	if !strings.Contains(got, `{"room":"trades:D","error":{"code":-32009,`) ||
		!strings.Contains(got, `{"room":"trades:D*","status":"joined"`) {
		t.Errorf("got %s", got)
	}
	if h.limit.Refused[limits.Rooms].Load() != 2 || h.limit.Refused[limits.Wildcards].Load() != 1 {
		t.Error("a limit was not counted")
	}

	none := wildcardHandler(t, func(cfg *config.Config) { cfg.Limits.WildcardsPerConnection = 0 })
	if got := login(t, none,
		"42").says(`{"method":"subscribe","params":{"rooms":["trades:*"]},"id":1}`); !strings.Contains(got,
		"wildcards_per_connection is 0") {
		t.Errorf("got %s", got)
	}
}
