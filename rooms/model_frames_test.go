package rooms_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"tapecast/rooms"
)

// take takes a message. exact: it is the next one, else the newest of its key.
func (c *client) take(text string, exact bool) {
	modelFrames.Add(1)
	c.w.t.Logf("%s gets %.150s", c.room, text)
	field := func(name string) string {
		_, rest, ok := strings.Cut(text, `"`+name+`":"`)
		if !ok {
			return ""
		}
		v, _, _ := strings.Cut(rest, `"`)
		return v
	}
	if field("room") != c.room {
		c.fatal("a message of another room: %s", text)
	}
	key := field("key")
	switch {
	case field("method") == "reset":
		c.reset(field("epoch"))
	case field("method") == "gap":
		from, to := c.gapText(text)
		fresh := c.fresh
		c.gap(from, to, exact)
		c.fresh = fresh // that its book is none any more it knows
	case field("pos") == "":
		if !strings.HasSuffix(text, `,"data":null}`) || key == "" || c.keys != nil && !c.keys[key] {
			c.fatal("no position in %s", text)
		}
		delete(c.newest, key)
		if c.expired[key] = max(c.expired[key], c.seen0(key)); c.seen0(key) < 0 {
			c.expired[key] = 1 << 60 // it never had it
		}
	default:
		part, off := parsePos(field("pos"))
		c.record(text, part, off, key, field("prev"), exact)
	}
}

func parsePos(text string) (part int, off int64) {
	a, b, _ := strings.Cut(text, ":")
	part, _ = strconv.Atoi(a)
	off, _ = strconv.ParseInt(b, 10, 64)
	return part, off
}

func (c *client) record(text string, part int, off int64, key, prev string, exact bool) {
	if c.nowhere {
		return
	}
	log := c.topic.logs[part]
	if off >= int64(len(log)) {
		c.fatal("%d:%d is not in the topic: %s", part, off, text)
	}
	e := &log[off]
	_, data, _ := strings.Cut(text, `,"data":`)
	value := e.value
	if value == "" {
		value = "null"
	}
	if e.room != c.room || e.key != key || data != value+"}" || !c.wants(e) {
		c.fatal("not what was written there: %.200s", text)
	}
	if off < c.seen0(key) || off == c.seen0(key) && !c.snapping {
		c.fatal("%d:%d of %s after %d", part, off, key, c.seen[key])
	}
	if c.fresh && !e.keyframe {
		c.fatal("goes on with %d:%d, which is no full book", part, off)
	}
	if exact && c.located {
		if missed := c.missed(part, c.at[part], off-1); missed >= 0 || off <= c.at[part] {
			c.fatal("after %d came %d:%d, and not %d", c.at[part], part, off, missed)
		}
	}
	if _, before := parsePos(prev); exact && prev != "" {
		for i := off - 1; i > before; i-- {
			if log[i].room == c.room {
				c.fatal("%d:%d says that %d was before it, which is %d", part, off, before, i)
			}
		}
	}
	c.fresh = false
	if c.located && !c.snapping {
		c.at[part] = max(c.at[part], off)
	}
	c.seen[key] = off
	delete(c.expired, key)
	if c.newest[key] = off; e.value == "" {
		delete(c.newest, key)
	}
}

func (c *client) seen0(key string) int64 {
	if off, ok := c.seen[key]; ok {
		return off
	}
	return -1
}

// lost says that it heard, or was shown, that the key has gone since.
func (c *client) lost(key string, off int64) bool {
	last, ok := c.expired[key]
	return ok && off <= last
}

func (c *client) reset(epoch string) {
	next := slices.IndexFunc(c.w.epochs[topicOf(c.room)], func(t *topicModel) bool { return t.epoch == epoch })
	if next < 0 || slices.Index(c.w.epochs[topicOf(c.room)], c.topic) >= next {
		c.fatal("a reset to %q in %q", epoch, c.topic.epoch)
	}
	c.topic = c.w.epochs[topicOf(c.room)][next]
	c.begin()
	c.located = true
	c.fresh = false // it knows that its book is none any more
}

func (c *client) gapText(text string) (from, to rooms.Positions) {
	_, rest, _ := strings.Cut(text, `"from":`)
	a, b, _ := strings.Cut(rest, `,"to":`)
	return positionsText(a), positionsText(strings.TrimSuffix(b, "}}"))
}

func positionsText(text string) (p rooms.Positions) {
	for f := range bytes.SplitSeq([]byte(strings.Trim(text, "{}")), []byte(",")) {
		name, v, _ := strings.Cut(strings.ReplaceAll(string(f), `"`, ""), ":")
		if name == "epoch" {
			p.Epoch = v
		} else if part, err := strconv.Atoi(name); err == nil {
			off, _ := strconv.ParseInt(v, 10, 64)
			p.Offsets = append(p.Offsets, rooms.Pos{Partition: int32(part), Offset: off})
		}
	}
	return p
}
