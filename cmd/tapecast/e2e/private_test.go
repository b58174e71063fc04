package e2e

import (
	"fmt"
	"testing"
)

const privateConfig = `
rooms:
  - {match: "user:{owner}", class: private}
  - {match: "orders:{owner}", class: private}
  - {match: "notices", class: alert}
auto_join: ["user:{sub}", "orders:{sub}", notices]
ingest:
  routes:
    - {topic: orders, rooms: ["orders:{@key}"], key: "{orderId}", type: order_update, partitioner: murmur2}
    - topic: events
      match: {metadata.kind: "user.*"}
      rooms: ["user:{metadata.userId}"]
      type: user_message
      payload: data
    - {topic: events, match: {metadata.kind: "system.*"}, rooms: [notices], type: system_alert, payload: data}
`

// TestPrivateRooms: only its owner joins a private room, each of a user's connections gets each
// message, and a nested payload comes out unchanged.
func TestPrivateRooms(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "orders", 3)
		k.topic(t, "events", 2)
		g := start(t, config(k, privateConfig))

		mine := []*client{join(t, g, "42"), join(t, g, "42"), join(t, g, "42")}
		other := join(t, g, "43")
		if code := refusal(t, other, "orders:42"); code != -32007 {
			t.Errorf("another user's room is refused with %d, want -32007", code)
		}
		if code := refusal(t, other, "user:42"); code != -32007 {
			t.Errorf("another user's room is refused with %d, want -32007", code)
		}
		if code := refusal(t, other, "orders"); code != -32006 {
			t.Errorf("an unknown room is refused with %d, want -32006", code)
		}

		w := k.producer(t)
		const n = 200
		for i := range n {
			for u := 42; u <= 45; u++ {
				w.send("orders", anyPartition, fmt.Append(nil, u), []byte(privateOrder(u, i)))
				w.send("events", anyPartition, nil,
					fmt.Appendf(nil, `{"metadata":{"kind":"user.message","userId":%d},"data": [ %d,"x" ] , `+
						`"more":{"data":0}}`, u, i))
			}
		}
		w.send("events", 0, nil, []byte(`{"data":{"text":"all"},"metadata":{"kind":"system.alert"}}`))
		w.flush()
		for _, c := range mine {
			c.gotPrivate(t, 42, n)
		}
		other.gotPrivate(t, 43, n)

		// The partitioner is only a check: positions still name all partitions.
		c := mine[0]
		if at, also := c.rooms["orders:42"].joined.at, c.rooms["user:42"].joined.at; len(at) != 3 || len(also) != 2 {
			t.Errorf("orders:42 was joined at %v, user:42 at %v: want all 3 and all 2 partitions", at, also)
		}
		for _, c := range append(mine, other) {
			c.check()
		}
	})
}

func privateOrder(user, i int) string {
	return fmt.Sprintf(`{ "orderId" : "o%d-%d",	"px":"1.50", "note":"\u00e9 ünï" }`, user, i)
}

// gotPrivate: a client of a user gets n orders, n messages of the user's own, and the alert.
func (c *client) gotPrivate(t *testing.T, u, n int) {
	t.Helper()
	orders, user := fmt.Sprint("orders:", u), fmt.Sprint("user:", u)
	c.await("its messages", func() bool {
		return len(c.rooms[orders].frames) >= n && len(c.rooms[user].frames) >= n &&
			len(c.rooms["notices"].frames) >= 1
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.rooms[orders].frames {
		if string(f.data) != privateOrder(u, i) || f.key != fmt.Sprintf("o%d-%d", u, i) || f.typ != "order_update" {
			t.Fatalf("order %d of %d is %s %q %q", i, u, f.data, f.key, f.typ)
		}
	}
	seen := map[string]bool{}
	for _, f := range c.rooms[user].frames {
		seen[string(f.data)] = true
	}
	for i := range n {
		if want := fmt.Sprintf(`[ %d,"x" ]`, i); !seen[want] {
			t.Fatalf("no message %s among %d of user %d", want, len(seen), u)
		}
	}
	if f := c.rooms["notices"].frames[0]; string(f.data) != `{"text":"all"}` || f.typ != "system_alert" {
		t.Errorf("the alert is %s %q", f.data, f.typ)
	}
	if len(c.rooms[orders].frames) != n || len(c.rooms[user].frames) != n {
		t.Errorf("%d orders and %d messages, want %d each", len(c.rooms[orders].frames),
			len(c.rooms[user].frames), n)
	}
}

// refusal asks for a room and returns the code of the error.
func refusal(t testing.TB, c *client, room string) int {
	t.Helper()
	r := c.call("subscribe", map[string]any{"rooms": []string{room}})
	if r.Error != nil {
		return r.Error.Code
	}
	got := roomReplies(r.Result)
	if len(got) != 1 || got[0].Error == nil {
		t.Errorf("%s was not refused: %s", room, r.Result)
		return 0
	}
	return got[0].Error.Code
}
