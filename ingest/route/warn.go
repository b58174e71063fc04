package route

import (
	"fmt"
	"slices"
)

// Warnings returns doubtful points of routes that can be used, for `tapecast check`.
func (r *Router) Warnings() []Fault { return r.warnings }

func (c *compiler) warn() {
	for _, l := range c.landed {
		if l.room.base == nil {
			continue
		}
		c.warnOverlap(l)
		c.warnDeletions(l)
		c.warnPublic(l)
	}
	slices.SortStableFunc(c.router.warnings, func(a, b Fault) int { return a.Route - b.Route })
}

func (c *compiler) warning(route int, field, format string, args ...any) {
	f := Fault{route, field, fmt.Sprintf(format, args...)}
	if !slices.Contains(c.router.warnings, f) {
		c.router.warnings = append(c.router.warnings, f)
	}
}

// warnOverlap warns if another pattern takes names of the template and refuses their records.
func (c *compiler) warnOverlap(l landing) {
	for _, p := range l.others {
		if l.room.lands(p) {
			continue
		}
		names := "the name"
		if !p.Literal() {
			names = "names that begin with"
		}
		c.warning(l.index, "rooms",
			"%q is for rooms of pattern %q, but %s %q would fall into %q, and one of the two is "+
				"private, so such records are refused: give one of the patterns a beginning of its own",
			l.room.text, l.room.base.Match, names, p.Prefix(), p.Match)
	}
}

// warnDeletions warns if a room keeps last values that a tombstone cannot delete. It does not
// warn if the route's match reads the value: such a route carries events, and no tombstones.
func (c *compiler) warnDeletions(l landing) {
	class := l.room.base.Class
	if !class.Conflate && !class.Snapshot || l.route.bare || c.tombs[c.source[l.index].Topic] && class.Conflate {
		return // conflated with tombstones is a fault already
	}
	if slices.ContainsFunc(l.route.conds, func(c cond) bool { return c.from.kind == fromValue }) {
		return
	}
	const why = "%q comes from the value, which a tombstone does not have, and class %q of room %q keeps last " +
		"values: on a compacted " +
		"topic deletions would reach no client; take it from {@key} or {@header.x}"
	if l.room.uses(fromValue) {
		c.warning(l.index, "rooms", why, l.room.text, class.Name, l.room.text)
	}
	if l.route.key != nil && l.route.key.uses(fromValue) {
		c.warning(l.index, "key", why, l.route.key.text, class.Name, l.room.text)
	}
}

// warnPublic warns if anybody may read records of a topic that feeds private rooms. It looks
// at templates with placeholders, and at constant ones whose records go to private rooms too.
func (c *compiler) warnPublic(l landing) {
	if l.room.base.Class.Private() {
		return
	}
	for _, other := range c.landed {
		base := other.room.base
		if base == nil || other.topic != l.topic || !base.Class.Private() {
			continue
		}
		if !l.room.constant() || other.index == l.index || c.fitTogether(other.index, l.index) {
			c.warning(l.index, "rooms",
				"%q is public, by room pattern %q of class %q, and its topic %q feeds private rooms too (%q): "+
					"anybody may read it; give the pattern a private class, or the public records a topic of their own",
				l.room.text, l.room.base.Match, l.room.base.Class.Name, l.topic.Feed.Topic(), base.Match)
			return
		}
	}
}
