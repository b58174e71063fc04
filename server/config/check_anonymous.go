package config

import (
	"fmt"
	"slices"
	"strings"

	"tapecast/rooms"
)

// Anonymous lets clients in that have no token. They may join the listed rooms, and nothing else. SIGHUP
// reads it again.
type Anonymous struct {
	// Rooms are public rooms (prices) and wildcards ("trades:*"). Default none: no client is let in
	// without a token.
	Rooms []string `koanf:"rooms"`
	// Connections is the most connections without a user at a time; over it: close 4129. Default
	// 10000; 0: no limit but limits.connections.
	Connections int `koanf:"connections"`
	// ConnectionsPerAddress is the most of them of one address (IPv6: one /64). Default 100; 0: no
	// limit, as a proxy needs it behind which all clients share one address.
	ConnectionsPerAddress int `koanf:"connections_per_address"`
}

// On reports whether clients without a token are let in.
func (a *Anonymous) On() bool { return len(a.Rooms) > 0 }

// checkAnonymous checks what clients without a token may join.
func (c *collector) checkAnonymous(cfg *Config, catalog *rooms.Catalog) {
	for i, name := range cfg.Anonymous.Rooms {
		path := index("anonymous.rooms", i)
		prefix, star := strings.CutSuffix(name, "*")
		if name == "" || strings.ContainsAny(prefix, "*{}") {
			c.add(path, fmt.Sprintf("%q is not a room or a wildcard", name),
				"write a public room such as prices, or a prefix with a star such as \"trades:*\"")
			continue
		}
		p, _, _ := catalog.Resolve(name)
		if star {
			p, _ = catalog.Under(prefix)
		}
		switch {
		case c.hasUnder("rooms"): // it may be of a pattern that is wrong
		case p == nil && star:
			c.add(path, fmt.Sprintf("%q does not begin with the whole prefix of a pattern of rooms", name), "%s",
				allowRemedy(name, catalog))
		case p == nil:
			c.add(path, fmt.Sprintf("%q fits no pattern of rooms", name), "%s", allowRemedy(name, catalog))
		case p.Class.Private():
			c.add(path, fmt.Sprintf("%q is private, and without a token there is no owner", name),
				"name public rooms only")
		case slices.Index(cfg.Anonymous.Rooms, name) < i:
			c.add(path, fmt.Sprintf("%q is named twice", name), "remove one")
		}
		for pattern := range cfg.Allow {
			begin, wide := strings.CutSuffix(pattern, "*")
			if pattern == name || wide && strings.HasPrefix(name, begin) {
				c.add(path, fmt.Sprintf("allow asks for claims to join %s, and without a token there are none",
					pattern), "remove it here, or there")
			}
		}
	}
}
