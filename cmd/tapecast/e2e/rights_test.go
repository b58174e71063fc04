package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const rightsConfig = `
rooms:
  - {match: "trades", class: stream}
  - {match: "desk:*", class: stream}
auto_join: [trades, "desk:1"]
allow:
  "desk:*": {role: desk}
  "desk:9": {role: [nine, neun]}
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
    - {topic: desks, rooms: ["desk:{@key}"], type: desk_update}
`

// claimed returns a token of a user with further claims.
func claimed(user string, more jwt.MapClaims) string {
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, more)
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return s
}

// isIn waits until a connection is in exactly these rooms.
func (c *client) isIn(rooms ...string) {
	c.t.Helper()
	slices.Sort(rooms)
	c.await(fmt.Sprintf("it is in %q", rooms), func() bool {
		return slices.Equal(slices.Sorted(maps.Keys(c.rooms)), rooms)
	})
}

// TestAllowedRooms: claims decide which rooms a client joins, by name, by wildcard and by the configuration, and
// who stays when a new token has other claims.
func TestAllowedRooms(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "desks", 2)
	g := start(t, config(k, rightsConfig))
	let := func(claims jwt.MapClaims) *client {
		c := dial(t, g, dialing{query: "?token=" + claimed("42", claims)})
		c.notice("auto_subscribed")
		return c
	}
	desk := jwt.MapClaims{"scope": "x", "role": "desk"}
	trader, plain, nine := let(desk), let(nil), let(jwt.MapClaims{"role": []string{"x", "nine"}})
	trader.isIn("trades", "desk:1")
	plain.isIn("trades")
	for _, room := range []string{"desk:1", "desk:9", "desk:*", "desk:9*"} {
		if code := refusal(t, plain, room); code != -32007 {
			t.Errorf("%s: refused with %d", room, code)
		}
	}
	if code := refusal(t, nine, "desk:*"); code != -32007 {
		t.Errorf("a wildcard that is allowed in part: refused with %d", code)
	}
	nine.call("subscribe", map[string]any{"rooms": []string{"desk:9"}})
	nine.isIn("trades", "desk:9")
	trader.call("subscribe", map[string]any{"rooms": []string{"desk:*"}})

	w := k.producer(t)
	put := func(n int) {
		for i := range n {
			for _, desk := range []string{"1", "2", "9"} {
				w.send("desks", anyPartition, []byte(desk), fmt.Appendf(nil, `{"n":%d}`, i))
			}
			w.send("trades", 0, nil, []byte(`{"n":1}`))
		}
		w.flush()
	}
	put(10)
	for room, c := range map[string]*client{"desk:1": trader, "desk:2": trader, "desk:9": nine} {
		c.await("the messages of "+room, func() bool { return c.rooms[room] != nil && len(c.rooms[room].frames) == 10 })
	}
	plain.await("the trades", func() bool { return len(plain.rooms["trades"].frames) == 10 })

	// Another token of the same user, with other claims.
	other := claimed("42", jwt.MapClaims{"role": "neun"})
	if r := trader.call("authenticate", map[string]any{"token": other}); r.Error != nil {
		t.Fatalf("cannot renew: %+v", r.Error)
	}
	trader.notice("left")
	trader.isIn("trades")
	if code := refusal(t, trader, "desk:1"); code != -32007 {
		t.Errorf("a room that was withdrawn: refused with %d", code)
	}
	trader.call("subscribe", map[string]any{"rooms": []string{"desk:9"}})
	put(5)
	trader.await("the messages of desk:9", func() bool { return len(trader.rooms["desk:9"].frames) == 5 })
	if n := g.metric("tapecast_rooms_forbidden_total", "reason", "claims"); n != 6 {
		t.Errorf("%v rooms were refused, want 6", n)
	}
	if n := g.metric("tapecast_rooms_withdrawn_total"); n != 3 {
		t.Errorf("%v rooms were withdrawn, want 3", n)
	}
	for _, c := range []*client{trader, plain, nine} {
		c.check()
	}
}

const accountsConfig = `
classes:
  accounts: {owner: "{claims.accounts[]}", lag: close}
rooms:
  - {match: "trades", class: stream}
  - {match: "acc:{owner}", class: accounts}
auto_join: [trades, "acc:{claims.accounts[]}"]
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
    - {topic: accounts, rooms: ["acc:{@key}"], type: order_update}
`

// TestAccounts: one login with many accounts gets the messages of each, and nobody else does.
func TestAccounts(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "accounts", 3)
	g := start(t, config(k, accountsConfig))
	let := func(user string, accounts any) *client {
		c := dial(t, g, dialing{query: "?token=" + claimed(user, jwt.MapClaims{"accounts": accounts})})
		c.notice("auto_subscribed")
		return c
	}
	broker, trader, other := let("42", []any{"A1", "A2", 3}), let("43", "A2"), let("A1", []string{})
	broker.isIn("trades", "acc:A1", "acc:A2", "acc:3")
	trader.isIn("trades", "acc:A2")
	other.isIn("trades")
	for _, room := range []string{"acc:A1", "acc:A*", "acc:*"} {
		if code := refusal(t, other, room); code != -32007 {
			t.Errorf("%s: refused with %d", room, code)
		}
	}
	w := k.producer(t)
	for i := range 20 {
		for _, account := range []string{"A1", "A2", "3", "A4"} {
			w.send("accounts", anyPartition, []byte(account), fmt.Appendf(nil, `{"n":%d}`, i))
		}
	}
	w.send("trades", 0, nil, []byte(`{"n":1}`))
	w.flush()
	for _, c := range []*client{broker, trader, other} {
		c.await("its messages", func() bool {
			for name, r := range c.rooms {
				if want := map[bool]int{true: 1, false: 20}[name == "trades"]; len(r.frames) != want {
					return false
				}
			}
			return true
		})
	}
	renewed := claimed("42", jwt.MapClaims{"accounts": []string{"A2"}})
	if r := broker.call("authenticate", map[string]any{"token": renewed}); r.Error != nil {
		t.Fatalf("cannot renew: %+v", r.Error)
	}
	broker.isIn("trades", "acc:A2")
	for _, c := range []*client{broker, trader, other} {
		c.check()
	}
}

const anonymousConfig = `
auth: {secret: SECRET, services: {scope: "tapecast:service"}}
log: {level: info, format: json, security: FILE}
anonymous: {rooms: [trades, "desk:*"], connections: 4, connections_per_address: 3}
rooms:
  - {match: "trades", class: stream}
  - {match: "desk:*", class: stream}
  - {match: "orders:{owner}", class: private}
auto_join: [trades, "orders:{sub}"]
ingest:
  routes:
    - {topic: trades, rooms: [trades], type: trade_update}
    - {topic: desks, rooms: ["desk:{@key}"], type: desk_update}
    - {topic: orders, rooms: ["orders:{@key}"], type: order_update}
`

// TestAnonymousAndServices: clients without a token get the listed rooms, and a service gets any room
// that it names.
func TestAnonymousAndServices(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"trades", "desks", "orders"} {
		k.topic(t, topic, 1)
	}
	file := filepath.Join(t.TempDir(), "security.log")
	g := start(t, config(k, strings.NewReplacer("SECRET", strconv.Quote(secret), "FILE", strconv.Quote(file)).
		Replace(anonymousConfig)))
	nobodies := g.nobodies(t)
	nobody := nobodies[0]
	nobody.call("subscribe", map[string]any{"rooms": []string{"desk:1", "desk:2*"}})
	for _, room := range []string{"orders:42", "orders:*", "orders:"} {
		if code := refusal(t, nobody, room); code != -32007 && room != "orders:" || code == 0 {
			t.Errorf("%s: refused with %d", room, code)
		}
	}
	service := dial(t, g, dialing{query: "?token=" + claimed("risk", jwt.MapClaims{"scope": "x tapecast:service"})})
	service.notice("auto_subscribed")
	service.isIn("trades")
	service.call("subscribe", map[string]any{"rooms": []string{"orders:42", "orders:43"}})
	if code := refusal(t, service, "orders:*"); code != -32007 {
		t.Errorf("a service's wildcard over private rooms: refused with %d", code)
	}
	if code := refusal(t, join(t, g, "42"), "orders:43"); code != -32007 {
		t.Errorf("a user's: refused with %d", code)
	}

	w := k.producer(t)
	for i := range 10 {
		for _, owner := range []string{"42", "43", "44"} {
			w.send("orders", 0, []byte(owner), fmt.Appendf(nil, `{"n":%d}`, i))
		}
		w.send("desks", 0, []byte("1"), fmt.Appendf(nil, `{"n":%d}`, i))
		w.send("trades", 0, nil, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	w.flush()
	service.await("the orders", func() bool {
		return len(service.rooms["orders:42"].frames) == 10 && len(service.rooms["orders:43"].frames) == 10
	})
	nobody.await("its messages", func() bool {
		return len(nobody.rooms["trades"].frames) == 10 && len(nobody.rooms["desk:1"].frames) == 10
	})
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "service authenticated") {
		t.Errorf("the security log has %s, %v", b, err)
	}
	for _, c := range append(nobodies, service) {
		c.check()
		c.leave()
	}
	eventually(t, patience, "none is counted", func() bool { return g.metric("tapecast_anonymous_connections") == 0 })
}

// nobodies connects three clients without a token: a fourth of one address is refused.
func (g *gateway) nobodies(t *testing.T) (list []*client) {
	t.Helper()
	asNobody := map[string]any{"anonymous": true}
	for range 3 {
		c := dial(t, g, dialing{})
		r := c.call("authenticate", asNobody)
		if got := string(r.Result); !strings.Contains(got, `"userId":null`) || strings.Contains(got, "expires") {
			t.Fatalf("%+v, %s", r.Error, r.Result)
		}
		c.notice("auto_subscribed")
		c.isIn("trades")
		list = append(list, c)
	}
	fourth := dial(t, g, dialing{})
	fourth.request("1", "authenticate", asNobody)
	if code := fourth.awaitClose(patience); code != 4129 {
		t.Errorf("a fourth of one address: closed with %d", code)
	}
	if n := g.metric("tapecast_anonymous_connections"); n != 3 {
		t.Errorf("%v are counted", n)
	}
	return list
}
