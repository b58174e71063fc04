package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const rulesConfig = `
rooms:
  - {match: "desk:*", class: stream}
  - {match: "trades:*", class: stream}
auto_join: ["desk:1", "trades:A"]
ingest:
  routes:
    - {topic: desks, rooms: ["desk:{@key}"], type: desk_update}
allow:
  "desk:*": {role: [desk, boss]}
anonymous: {rooms: ["trades:*"]}
`

// TestReloadRights: SIGHUP replaces the rules. Clients leave what they may not join any more, and those
// whose tokens must be looked at again are sent for them. A change with faults changes nothing.
func TestReloadRights(t *testing.T) {
	t.Parallel()
	k := fakeCluster(t)
	k.topic(t, "desks", 1)
	g := start(t, config(k, rulesConfig))
	let := func(claims jwt.MapClaims) *client {
		c := dial(t, g, dialing{query: "?token=" + claimed("42", claims)})
		c.notice("auto_subscribed")
		return c
	}
	desk, boss := let(jwt.MapClaims{"role": "desk"}), let(jwt.MapClaims{"role": "boss", "mfa": true})
	stranger := dial(t, g, dialing{})
	stranger.call("authenticate", map[string]any{"anonymous": true})
	file := g.cmd.Args[len(g.cmd.Args)-1]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(from, to string) {
		t.Helper()
		next := strings.Replace(string(text), from, to, 1)
		if err := os.WriteFile(file, []byte(next), 0o600); err != nil || next == string(text) {
			t.Fatalf("cannot change the configuration: %v", err)
		}
		g.cmd.Process.Signal(syscall.SIGHUP)
	}
	reload("role: [desk, boss]", "role: []")
	g.waitLog(patience, "cannot reload: the configuration has faults", nil)
	desk.isIn("desk:1", "trades:A")
	reload("role: [desk, boss]", "role: boss")
	desk.notice("left")
	desk.isIn("trades:A")
	boss.isIn("desk:1", "trades:A")
	reload("role: [desk, boss]", "mfa: true")
	boss.await("the end", func() bool { return boss.closed })
	if boss.code != 4201 {
		t.Errorf("closed with %d", boss.code)
	}
	let(jwt.MapClaims{"role": "boss", "mfa": true}).isIn("desk:1", "trades:A")
	reload("anonymous: {rooms: [\"trades:*\"]}", "")
	stranger.await("the end", func() bool { return stranger.closed })
	if stranger.code != 4001 {
		t.Errorf("closed with %d", stranger.code)
	}
	// One came while no rule named role, and must come again.
	eventually(t, patience, "three are closed by rules", func() bool {
		return g.metric("tapecast_rules_closed_total") == 3
	})
	desk.check()
}
