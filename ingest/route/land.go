package route

import (
	"strings"

	"tapecast/rooms"
)

// candidates finds the patterns that a template's names may fall into. The template's literal
// prefix selects base. The others have longer prefixes, so they take some of the names.
func (c *compiler) candidates(t *template) (base *rooms.Pattern, others []*rooms.Pattern) {
	if t.constant() {
		base, _, _ = c.catalog.Resolve(t.text)
		return base, nil
	}
	prefix := t.prefix()
	for _, p := range c.catalog.Patterns() {
		if !p.Literal() && strings.HasPrefix(prefix, p.Prefix()) &&
			(base == nil || len(p.Prefix()) > len(base.Prefix())) {
			base = p
		}
	}
	glob := t.glob()
	for _, p := range c.catalog.Patterns() {
		switch {
		case p == base:
		case p.Literal():
			if globMatch(glob, []byte(p.Match)) {
				others = append(others, p)
			}
		case base == nil || len(p.Prefix()) > len(base.Prefix()):
			if globsOverlap(glob, p.Prefix()+"*") {
				others = append(others, p)
			}
		}
	}
	return base, others
}

// landElsewhere marks the patterns with longer prefixes as fed too, unless a route feeds them
// by itself. Then they refuse records from here.
func (c *compiler) landElsewhere() {
	for _, l := range c.landed {
		for _, p := range l.others {
			if p.Feed == nil && l.room.lands(p) {
				feed(p, l.topic, l.route)
			}
		}
	}
}

// findTwice looks for pairs of room templates that may give one record the same name. For
// equal templates that is a fault. For others the decoder looks at run time.
func (c *compiler) findTwice() {
	for n, b := range c.landed {
		for _, a := range c.landed[:n] {
			if a.topic != b.topic || !c.fitTogether(a.index, b.index) {
				continue
			}
			switch {
			case a.room.text == b.room.text:
				c.fault(b.index, "rooms", "%q is filled by route %d too, and one record may match both, "+
					"so it would be sent twice: keep one, or give them match conditions that exclude each other",
					b.room.text, a.index)
			case globsOverlap(a.room.glob(), b.room.glob()):
				b.topic.twice = true
			}
		}
	}
}

func (c *compiler) fitTogether(a, b int) bool {
	for path, glob := range c.source[a].Match {
		if other, ok := c.source[b].Match[path]; ok && !globsOverlap(glob, other) {
			return false
		}
	}
	return true
}

// sources calls visit with the source of each condition and placeholder of the route.
func (r *route) sources(visit func(*source)) {
	for i := range r.conds {
		visit(&r.conds[i].from)
	}
	if r.keyframe != nil {
		visit(&r.keyframe.from)
	}
	templates := []*template{r.typ}
	if r.key != nil {
		templates = append(templates, r.key)
	}
	for i := range r.rooms {
		templates = append(templates, &r.rooms[i].template)
	}
	for _, t := range templates {
		for i := range t.parts {
			if t.parts[i].field {
				visit(&t.parts[i].from)
			}
		}
	}
}

// keysAs sets the format of record keys, and reports whether the route reads them.
func (r *route) keysAs(f keyFormat) (reads bool) {
	r.sources(func(from *source) {
		if from.kind == fromKey {
			from.keys, reads = f, true
		}
	})
	return reads
}
