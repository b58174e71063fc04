package rooms_test

import (
	"fmt"
	"slices"

	"tapecast/rooms"
)

// client is what somebody knows of one room, over all memberships.
type client struct {
	w        *world
	room     string
	topic    *topicModel     // of the epoch that it knows
	keys     map[string]bool // its filter; nil: all
	deflated bool

	located bool              // it knows where it stands
	at      [modelParts]int64 // all up to there is seen, or was told to be lost
	sure    [modelParts]int64 // the same, though it cannot tell: its walk has come so far
	heard   [modelParts]int64 // where a node was that walked for it: it may lack what is older than that
	fresh   bool              // the next record must be a keyframe

	at0     *node // where it was last
	moved   bool  // it has what another node gave it
	nowhere bool  // it does not know the epoch of what it gets
	holes   bool  // it has heard of a gap, so what it holds of each key may be old

	snapping bool
	lacks    map[string]int64 // by key: the offset of a value that had been evicted before it could be sent
	newest   map[string]int64 // by key: the offset of its value
	seen     map[string]int64 // by key: the newest offset that was ever seen
	expired  map[string]int64 // by key: what had been seen of it when it went without a tombstone
}

func (c *client) begin() {
	c.newest, c.seen, c.expired = map[string]int64{}, map[string]int64{}, map[string]int64{}
	c.at = [modelParts]int64{-1, -1, -1}
	c.sure, c.heard, c.moved, c.holes, c.nowhere = c.at, [modelParts]int64{}, false, false, false
	c.lacks = map[string]int64{}
}

func (c *client) wants(e *entry) bool { return e.room == c.room && (c.keys == nil || c.keys[e.key]) }

// missed is the first record after from and up to to that the client would want; -1: none.
func (c *client) missed(part int, from, to int64) int64 {
	log := c.topic.logs[part]
	from = max(from, c.sure[part])
	for off := max(from+1, 0); off <= min(to, int64(len(log))-1); off++ {
		if c.wants(&log[off]) {
			return off
		}
	}
	return -1
}

func (c *client) fatal(format string, args ...any) {
	c.w.t.Fatalf(c.room+": "+format, args...)
}

// since is where it says that it was; nil: it knows no position, or has no book yet.
func (c *client) since() *rooms.Positions {
	if !c.located || c.fresh {
		return nil
	}
	p := &rooms.Positions{Epoch: c.topic.epoch}
	for part, off := range c.at {
		p.Offsets = append(p.Offsets, rooms.Pos{Partition: int32(part), Offset: off})
	}
	return p
}

// joined is a join that begins now, at a position. Before it there is nothing to get.
func (c *client) joined(at rooms.Positions, n *node) {
	c.newest, c.expired = map[string]int64{}, map[string]int64{}
	c.topic = c.w.topics[topicOf(c.room)]
	c.fresh = c.room == "books"
	if c.located = at.Epoch != ""; c.located {
		c.stand(at)
	}
	c.lacksOf(n)
	if remembers(c.room) && len(n.newest[c.room]) > 0 {
		c.fatal("joined without a snapshot, though there are values of %d keys", len(n.newest[c.room]))
	}
}

func remembers(room string) bool { return topicOf(room) == 0 }

func (c *client) stand(at rooms.Positions) {
	if at.Epoch != c.topic.epoch {
		c.fatal("at epoch %q, of %q", at.Epoch, c.topic.epoch)
	}
	for part := range c.at {
		c.at[part] = offsetOf(at.Offsets, part)
		c.sure[part] = c.at[part]
	}
}

// refused is a resume from too far back. The client begins again.
func (c *client) refused(err *rooms.TooOldError) {
	live := c.w.topics[topicOf(c.room)]
	has := c.located && c.topic == live
	for part, off := range c.at {
		has = has && off >= live.begin[part]-1
	}
	if has {
		c.fatal("at %v of %s: refused, though the topic has it all: %v", c.at, c.topic.epoch, err)
	}
	c.located = false
}

func (c *client) resumed(at rooms.Positions) { c.told(at, false) }

// told takes a position. Nothing that the client lacks may lie before it.
func (c *client) told(at rooms.Positions, level bool) {
	if at.Epoch != "" && c.snapping {
		c.fatal("told of %v in the middle of a snapshot", at)
	}
	if at.Epoch == "" {
		if c.snapping {
			c.located, c.snapping = false, false
		}
		return
	}
	if !c.located || c.fresh {
		return // and will begin again
	}
	if at.Epoch != c.topic.epoch {
		c.fatal("told of epoch %q in %q", at.Epoch, c.topic.epoch)
	}
	for part := range c.at {
		off := offsetOf(at.Offsets, part)
		if missed := c.missed(part, c.at[part], off); missed >= 0 &&
			!(conflated(c.room) && !level && c.superseded(part, missed, off)) {
			c.fatal("told of %d:%d, and had not been sent %d after %d", part, off, missed, c.at[part])
		}
		if level && c.missed(part, off, c.at[part]) >= 0 {
			c.fatal("level, and told of %d:%d, before %d", part, off, c.at[part])
		}
		c.at[part] = max(c.at[part], off)
	}
}

func conflated(room string) bool { return room == "values" || room == "small" }

// superseded says that every record from missed to off is followed by one of its key,
// or that its node has let go of it.
func (c *client) superseded(part int, missed, off int64) bool {
	log := c.topic.logs[part]
	for i := missed; i <= off; i++ {
		e := &log[i]
		if c.wants(e) && !c.at0.dropped[e.room+e.key] &&
			!slices.ContainsFunc(log[off+1:], func(x entry) bool { return x.room == e.room && x.key == e.key }) {
			return false
		}
	}
	return true
}

// snapshotBegins is told after the walk has begun, which was when the topic was that.
func (c *client) snapshotBegins(n *node, topic *topicModel) {
	if c.topic == topic {
		for key, off := range c.seen { // of a node that is behind, or has lost it, as it was told
			if off >= n.reached(key, c.room) || off < c.topic.begin[partOf(key)] {
				delete(c.seen, key)
			}
		}
	} else {
		c.begin()
	}
	c.newest, c.expired = map[string]int64{}, map[string]int64{}
	c.snapping, c.located, c.moved, c.holes = true, false, false, false
	c.topic = topic
	c.sure = [modelParts]int64{-1, -1, -1}
	c.lacksOf(n)
}

// walks is for a walk on a node: what it skips the client will not hear of elsewhere.
func (c *client) walks(n *node) {
	for part, next := range n.next[topicOf(c.room)] {
		c.heard[part] = max(c.heard[part], next)
	}
	for i := range 10 {
		if key := fmt.Sprint("k", i); n.newest[c.room][key] == nil && n.pressed(c.room, key) == nil {
			c.gone(key, n)
		}
	}
}

// gone is for a key that has gone at a node, which it may not have done at another yet.
func (c *client) gone(key string, n *node) {
	if last, ok := c.expired[key]; !ok || last < n.reached(key, c.room)-1 {
		c.expired[key] = n.reached(key, c.room) - 1
	}
}

// walked says that the newest of every key up to there has been sent.
func (c *client) walked(next [modelParts]int64) {
	for part := range next {
		c.sure[part] = max(c.sure[part], next[part]-1)
	}
}

func (c *client) snapshotEnds(at rooms.Positions) {
	if !c.snapping {
		c.fatal("the end of no snapshot")
	}
	c.snapping, c.located = false, at.Epoch != ""
	if c.located {
		c.stand(at)
	}
}

// lag is for a member that retention has overtaken. A book begins again, at a full book
// that it may have had.
func (c *client) lag(from, to rooms.Positions) {
	c.gap(from, to, true)
	if c.room == "books" && c.located {
		c.seen = map[string]int64{}
		c.stand(to)
	}
}

// gap takes a notice that what lies after from and up to to was not sent.
func (c *client) gap(from, to rooms.Positions, exact bool) {
	c.fresh = c.room == "books"
	c.holes = true
	live := c.w.topics[topicOf(c.room)]
	if to.Epoch == "" || to.Epoch != c.topic.epoch && to.Epoch != live.epoch {
		// A reset lies between or comes next, and it has yet to be told.
		c.located, c.nowhere = false, true
		return
	}
	if to.Epoch != c.topic.epoch {
		c.topic = live
		c.begin()
		c.stand(to)
		c.holes = true
		return
	}
	for part := range c.at {
		off := offsetOf(to.Offsets, part)
		if i := slices.IndexFunc(to.Offsets, func(p rooms.Pos) bool { return p.Partition == int32(part) }); i < 0 {
			continue
		}
		if c.located {
			if i := slices.IndexFunc(from.Offsets,
				func(p rooms.Pos) bool { return p.Partition == int32(part) }); i >= 0 && from.Epoch == to.Epoch {
				if missed := c.missed(part, c.at[part], from.Offsets[i].Offset); exact && missed >= 0 {
					c.fatal("a gap after %d:%d, though %d was not sent", part, from.Offsets[i].Offset, missed)
				}
			}
			c.at[part] = max(c.at[part], off)
		}
	}
}

// level is a client that has been sent all that its node has.
func (c *client) level(n *node) {
	if c.snapping || c.topic != c.w.topics[topicOf(c.room)] {
		c.fatal("level in a snapshot, or in an epoch that has ended")
	}
	if c.located && !c.fresh {
		for part := range c.at {
			if missed := c.missed(part, c.at[part], n.next[topicOf(c.room)][part]-1); missed >= 0 {
				c.fatal("level, and was not sent %d:%d after %d", part, missed, c.at[part])
			}
		}
	}
	if !remembers(c.room) || c.holes {
		return
	}
	for i := range 10 {
		key := fmt.Sprint("k", i)
		h, part := n.newest[c.room][key], partOf(key)
		if h == nil {
			h = n.pressed(c.room, key)
		}
		if n.reached(key, c.room) < c.heard[part] {
			continue // the node is behind one that the client was on
		}
		if off, ok := c.newest[key]; ok && (h == nil || h.off < off) && off < n.reached(key, c.room) &&
			off >= c.topic.begin[part] && !(h == nil && c.moved && n.dropped[c.room+key]) {
			c.fatal("level, and has %d of %s, of which its node has %+v", off, key, h)
		}
		if h == nil {
			c.gone(key, n)
			continue
		}
		if h.off < c.topic.begin[part] {
			continue
		}
		if c.seen0(key) >= n.reached(key, c.room) || c.keys != nil && !c.keys[key] {
			continue // it knows better
		}
		off, ok := c.newest[key]
		if lacks, partial := c.lacks[key]; partial && !ok && h.off <= lacks {
			continue // as it was told
		}
		if (!ok || off != h.off) && !c.lost(key, h.off) {
			c.fatal("level, and has %d (%v) of %s, which is %+v", off, ok, key, *h)
		}
	}
}
