package e2e

import (
	"fmt"
	"maps"
	"testing"
)

// resumesInRooms: a client that left a wildcard comes back with the positions of its rooms, here and to
// another gateway. It returns what the client was told when it left.
func (f *wildcardFeed) resumesInRooms(t *testing.T, k *cluster, g *gateway, c *client) (left roomReply) {
	t.Helper()
	left = roomReplies(c.call("unsubscribe", map[string]any{"rooms": []string{"deals:A*"}}).Result)[0]
	if left.Status != "left" || len(left.Rooms) != 17 {
		t.Fatalf("left %+v", left)
	}
	since := map[string]any{}
	for _, r := range left.Rooms {
		since[r.Room] = r.Positions.object()
	}
	c.leave()
	for i := range 15 {
		f.put(fmt.Sprint("A", 10+i), 2)
	}
	f.w.flush()
	// Another gateway has none of these rooms yet.
	g2 := start(t, config(k, wildcardConfig))
	for _, g := range []*gateway{g, g2} {
		d := join(t, g, "back")
		d.call("subscribe", map[string]any{"rooms": []string{"deals:A*"}, "since": since})
		topic := k.read(t, "deals")
		d.await("all that came meanwhile", func() bool { return len(d.rooms) == 17 && frames(d) == 30 })
		d.mu.Lock()
		for name, r := range d.rooms {
			sameAsSince(t, r, name, topic, left)
		}
		d.mu.Unlock()
		d.check()
	}
	return left
}

// resumesByWildcard: with the wildcard's position alone a client also gets the rooms that began meanwhile,
// although they have no member on one of the gateways.
func (f *wildcardFeed) resumesByWildcard(t *testing.T, k *cluster, g *gateway, left roomReply) {
	t.Helper()
	at := left.Positions.object()
	f.put("A90", 3)
	f.w.flush()
	g3 := start(t, config(k, wildcardConfig))
	for _, g := range []*gateway{g, g3} {
		d := join(t, g, "again")
		list := roomReplies(d.call("subscribe", map[string]any{
			"rooms": []string{"deals:A*"}, "since": map[string]any{"deals:A*": at},
		}).Result)
		if r := list[0]; r.Recovered == nil || !*r.Recovered || !maps.Equal(r.Positions.at, left.Positions.at) {
			t.Errorf("joined %+v", r)
		}
		topic := k.read(t, "deals")
		d.await("all that came meanwhile", func() bool {
			r := d.rooms["deals:A90"]
			return r != nil && len(r.frames) == 3 && frames(d) >= 33
		})
		d.mu.Lock()
		for name, r := range d.rooms {
			sameAsSince(t, r, name, topic,
				roomReply{Rooms: []roomReply{{Room: name, Positions: left.Positions}}})
		}
		d.mu.Unlock()
		d.check()
	}
}
