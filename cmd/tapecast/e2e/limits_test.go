package e2e

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/gobwas/ws"
)

const limitsConfig = `
limits:
  {connections: 40, connections_per_address: 10, pending: 5, messages_per_second: 10, burst: 20,
   rooms_per_connection: 600}
rooms:
  - {match: "trades", class: stream}
  - {match: "trades:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: trades, rooms: [trades, "trades:{s}"], type: trade_update}
`

// TestLimits: what one client, one address and all together may take.
func TestLimits(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	g := start(t, config(k, limitsConfig))
	l := &limited{g}
	t.Run("pending", l.pending)
	t.Run("address and all", l.addressAndAll)
	t.Run("rooms", l.roomsOf)
	t.Run("messages", l.messages)
}

// limited is a gateway whose limits are reached.
type limited struct{ g *gateway }

// loopback returns an address of this machine.
func loopback(n int) net.IP { return net.IPv4(127, 0, 1, byte(n)) }

func (l *limited) with(n int) dialing {
	return dialing{query: "?token=" + l.g.token("1"), from: loopback(n)}
}

// refused returns the status with which a client is refused.
func (l *limited) refused(t *testing.T, d dialing) int {
	t.Helper()
	c, err := tryDial(t, l.g, d)
	var status ws.StatusError
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Error("was let in")
	c.leave()
	return 0
}

func (l *limited) pending(t *testing.T) {
	var conns []*client
	for range 5 {
		conns = append(conns, dial(t, l.g, dialing{from: loopback(1)}))
	}
	if s := l.refused(t, dialing{from: loopback(1)}); s != 503 {
		t.Errorf("the sixth that waits is refused with %d", s)
	}
	for _, c := range conns {
		c.leave()
	}
	l.g.empty()
}

func (l *limited) addressAndAll(t *testing.T) {
	var conns []*client
	for n := range 4 {
		for range 10 {
			c := dial(t, l.g, l.with(n))
			c.notice("auto_subscribed")
			conns = append(conns, c)
		}
		if n < 3 {
			if s := l.refused(t, l.with(n)); s != 503 {
				t.Errorf("the eleventh of an address is refused with %d", s)
			}
		}
	}
	if s := l.refused(t, l.with(5)); s != 503 {
		t.Errorf("the 41st is refused with %d", s)
	}
	for _, c := range conns {
		c.leave()
	}
	l.g.empty()
}

func (l *limited) roomsOf(t *testing.T) {
	c := dial(t, l.g, l.with(1))
	c.notice("auto_subscribed")
	var names []string
	for i := range 700 {
		names = append(names, fmt.Sprintf("trades:SYMBOL%05d", i))
	}
	// Three requests at once: a client that reads its answers gets them.
	c.request("1", "subscribe", map[string]any{"rooms": names[:300]})
	c.request("2", "subscribe", map[string]any{"rooms": names[300:550]})
	c.request("3", "subscribe", map[string]any{"rooms": names[550:]})
	joined, limited := 0, 0
	for _, id := range []string{"1", "2", "3"} {
		for _, r := range roomReplies(c.reply(id).Result) {
			switch {
			case r.Status == "joined":
				joined++
			case r.Error != nil && r.Error.Code == -32009:
				limited++
			default:
				t.Fatalf("%s: %+v", r.Room, r)
			}
		}
	}
	if joined != 600 || limited != 100 {
		t.Errorf("%d joined and %d refused, want 600 and 100", joined, limited)
	}
	c.check()
	c.leave()
}

func (l *limited) messages(t *testing.T) {
	c := dial(t, l.g, l.with(1))
	c.notice("auto_subscribed")
	for i := range 30 {
		c.request(fmt.Sprint(i), "ping", nil)
	}
	c.await("a refusal", func() bool {
		for _, r := range c.replies {
			if r.Error != nil && r.Error.Code == -32004 {
				return true
			}
		}
		return false
	})
	for i := range 60 {
		c.request(fmt.Sprint(100+i), "ping", nil)
	}
	if code := c.awaitClose(patience); code != 4108 {
		t.Errorf("closed with %d %q, want 4108", code, c.reason)
	}
}
