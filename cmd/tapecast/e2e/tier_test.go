package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const tierConfig = `
limits:
  connections_per_user: 2
  rooms_per_connection: 3
  tiers:
    basic: {connections_per_user: 1}
    junk: {empty_rooms: 2}
    pro: {connections_per_user: 4, rooms_per_connection: 5, messages_per_second: 0}
rooms:
  - {match: "trades:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: trades, rooms: ["trades:{s}"], type: trade_update}
`

// tierToken is a token that names an account's tier.
func tierToken(t testing.TB, user, tier string) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "tier": tier}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reloadWith has a gateway read its configuration again in which a text was replaced, and waits for what it
// says. Each time the text of the start is changed.
func (g *gateway) reloadWith(from, to, said string) {
	g.t.Helper()
	file := g.cmd.Args[len(g.cmd.Args)-1]
	if g.yaml == "" {
		old, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		g.yaml = string(old)
	}
	fresh := strings.Replace(g.yaml, from, to, 1)
	if err := os.WriteFile(file, []byte(fresh), 0o600); err != nil || fresh == g.yaml {
		g.t.Fatalf("cannot change the configuration: %v", err)
	}
	was := g.saidTimes(said)
	g.cmd.Process.Signal(syscall.SIGHUP)
	eventually(g.t, patience, "a log line "+said, func() bool { return g.saidTimes(said) > was })
}

// TestTiers: accounts have the limits of the tier that their tokens name, over all connections. SIGHUP
// changes them for clients that are connected, and one with faults changes nothing.
func TestTiers(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	g := start(t, config(k, tierConfig))
	junk := g.enters(t, "4", "junk", 2)[0]
	junk.names(t, 3, 2)
	all := g.enters(t, "1", "pro", 4)
	all[0].joinsOf(t, 5)
	for _, c := range append(g.enters(t, "2", "basic", 1), g.enters(t, "3", "gold", 2)...) {
		c.joinsOf(t, 3)
	}
	if n := g.metric("tapecast_unknown_tiers_total"); n != 3 {
		t.Errorf("%v unknown tiers are counted", n)
	}
	g.reloadWith("basic: {", "basic: {burst: 0, ", "cannot reload: the configuration has faults")
	all[1].joinsOf(t, 5)
	g.reloadWith("pro: {connections_per_user: 4, rooms_per_connection: 5", "pro: {connections_per_user: 6, "+
		"rooms_per_connection: 4", "tiers reloaded")
	all[2].joinsOf(t, 4)
	g.enters(t, "1", "pro", 2)
	g.reloadWith("junk: {empty_rooms: 2", "junk: {empty_rooms: 3", "tiers reloaded")
	junk.names(t, 1, 1)
	for _, c := range all {
		c.check()
	}
}

// enters connects an account of a tier until it is refused, and returns those that were let in.
func (g *gateway) enters(t *testing.T, user, tier string, want int) (in []*client) {
	t.Helper()
	for {
		c := dial(t, g, dialing{query: "?token=" + tierToken(t, user, tier)})
		c.await("an answer", func() bool { return len(c.notices) > 0 || c.closed })
		if c.closed {
			if c.code != 4129 {
				t.Errorf("tier %q: closed with %d", tier, c.code)
			}
			break
		}
		in = append(in, c)
	}
	if len(in) != want {
		t.Errorf("tier %q: %d connections, want %d", tier, len(in), want)
	}
	return in
}

// names asks for n rooms that nobody has named yet, and wants so many of them.
func (c *client) names(t *testing.T, n, want int) {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("trades:%s%d%d", c.name, len(c.rooms), i))
	}
	joined := 0
	for _, r := range roomReplies(c.call("subscribe", map[string]any{"rooms": names}).Result) {
		if r.Error == nil {
			joined++
		}
	}
	if joined != want {
		t.Errorf("%d empty rooms, want %d", joined, want)
	}
}

// joinsOf asks for six rooms, wants so many of them, and leaves them.
func (c *client) joinsOf(t *testing.T, want int) {
	t.Helper()
	list := map[string]any{"rooms": []string{"trades:A", "trades:B", "trades:C", "trades:D", "trades:E", "trades:F"}}
	joined := 0
	for _, r := range roomReplies(c.call("subscribe", list).Result) {
		switch {
		case r.Error == nil:
			joined++
		case r.Error.Code != -32009:
			t.Errorf("%s: %+v", r.Room, r.Error)
		}
	}
	if joined != want {
		t.Errorf("%d rooms, want %d", joined, want)
	}
	c.call("unsubscribe", list)
}
