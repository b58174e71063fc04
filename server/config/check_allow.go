package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tapecast/rooms"
)

// Conditions are values that claims of a token must have, by the claim's name. All must hold, each by
// any of its values. Without conditions nothing is fulfilled. A value must be equal to the claim's
// text, be one of a list, or one of its words (as in scope). A name with dots may be a path into objects,
// such as realm_access.roles.
type Conditions map[string][]string

// claims returns the names of the claims, sorted.
func (c Conditions) claims() []string { return slices.Sorted(maps.Keys(c)) }

// checkConditions checks what claims must be.
func (c *collector) checkConditions(path string, of Conditions) {
	for _, claim := range of.claims() {
		if len(of[claim]) == 0 || slices.Contains(of[claim], "") {
			c.add(join(path, claim), "has no value, or an empty one", "write what the claim must be, such as desk, "+
				"or a list of such values")
		}
	}
}

// checkAllow checks who may join what.
func (c *collector) checkAllow(cfg *Config, catalog *rooms.Catalog) {
	for _, pattern := range slices.Sorted(maps.Keys(cfg.Allow)) {
		path := join("allow", pattern)
		switch prefix, star := strings.CutSuffix(pattern, "*"); {
		case pattern == "" || strings.ContainsAny(prefix, "*{}"):
			c.add(path, "is not a room or a wildcard", "write a room such as desk:1, or a prefix with a star such as "+
				"\"desk:*\"")
		case !c.hasUnder("rooms") && !fitsRooms(catalog, prefix, star):
			c.add(path, "fits no pattern of rooms", "%s", allowRemedy(pattern, catalog))
		}
		if len(cfg.Allow[pattern]) == 0 {
			c.add(path, "has no conditions, so that nobody could join",
				"write what a claim must be, such as {role: desk}")
		}
		c.checkConditions(path, cfg.Allow[pattern])
	}
}

// fitsRooms reports whether some room may have that name or, with a star, a name that begins so.
func fitsRooms(catalog *rooms.Catalog, name string, star bool) bool {
	if _, _, ok := catalog.Resolve(name); ok {
		return true
	}
	return star && slices.ContainsFunc(catalog.Patterns(), func(p *rooms.Pattern) bool {
		return strings.HasPrefix(p.Prefix(), name) || !p.Literal() && strings.HasPrefix(name, p.Prefix())
	})
}

func allowRemedy(name string, catalog *rooms.Catalog) string {
	return patternRemedy(name, "*", catalog)
}

// patternRemedy is what to do about a name that fits no pattern. owner stands for {owner} in such names.
func patternRemedy(name, owner string, catalog *rooms.Catalog) string {
	var names []string
	for _, p := range catalog.Patterns() {
		names = append(names, strings.ReplaceAll(p.Match, "{owner}", owner))
	}
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("did you mean %s? Else add a pattern for it", n)
	}
	return "add a pattern for it, or remove it"
}
