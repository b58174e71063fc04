package rooms_test

import (
	"maps"
	"slices"
	"time"
)

// What a node evicts for want of memory is lost to those that begin on it later, and the
// room says so. It is not gone: a member that has been sent the value has it still, and
// nobody is left with an older one.

// press has a node find that last values take more than they may.
func (w *world) press() {
	n, all, room, give := w.node(), w.chance(4, "all"), w.room(), 1+w.draw(4000, "bytes")
	if !remembers(room) {
		return
	}
	n.sweep()
	before := n.keysLeft()
	if all {
		give = -1
	}
	if !n.Press(room, int64(give)) {
		return
	}
	n.notePressed(before)
	n.take()
}

// keysLeft is what the node's rooms have values of.
func (n *node) keysLeft() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, x := range roomsModel {
		out[x.name] = map[string]bool{}
		for key := range n.newest[x.name] {
			if n.HasValue(x.name, key) {
				out[x.name][key] = true
			}
		}
	}
	return out
}

// notePressed takes over what has been evicted, which must be the oldest of each room.
func (n *node) notePressed(before map[string]map[string]bool) {
	after := n.keysLeft()
	for room, held := range n.newest {
		kept := 1 << 60
		for key, h := range held {
			if !before[room][key] {
				n.w.t.Fatalf("%s of %s had gone before there was any need", key, room)
			}
			if after[room][key] {
				kept = min(kept, h.order)
			}
		}
		for key, h := range held {
			if after[room][key] {
				continue
			}
			if h.order > kept {
				n.w.t.Fatalf("%s of %s is evicted, which is not the oldest", key, room)
			}
			n.w.t.Logf("%s of %s is evicted, which is %+v", key, room, *h)
			delete(held, key)
			if n.evicted[room] == nil {
				n.evicted[room] = map[string]*holding{}
			}
			n.evicted[room][key] = h
			for _, m := range n.w.all {
				if m.node == n && m.room == room && m.snapping {
					m.lacks[key] = h.off
				}
			}
		}
	}
}

// pressed is the newest value of the key that was evicted; nil: that was not.
func (n *node) pressed(room, key string) *holding {
	if n.newest[room][key] != nil {
		return nil
	}
	return n.evicted[room][key]
}

// lacksOf begins what the client may lack: what its node has evicted, of which the room
// tells as long as it would have had it.
func (c *client) lacksOf(n *node) {
	c.lacks = map[string]int64{}
	for key, h := range n.evicted[c.room] {
		c.lacks[key] = h.off
	}
	young := slices.ContainsFunc(slices.Collect(maps.Values(n.evicted[c.room])), func(h *holding) bool {
		return n.Clock()-h.at < modelTTL-10*time.Second
	})
	if r := n.Room(c.room); young && !n.Partial(r) {
		c.fatal("a room that lacks %d values says that it is whole", len(n.evicted[c.room]))
	}
}
