package config

import (
	"fmt"
	"reflect"
)

// Tier is a row of limits.tiers: the limits of accounts whose token names it. Load fills in those of Limits
// for what the row does not set.
type Tier struct {
	// ConnectionsPerUser is the most connections of one user on this node; over it: close 4129.
	// Default 100; 0: no limit, as guests that share one sub need it.
	ConnectionsPerUser int `koanf:"connections_per_user"`
	// MessagesPerSecond is how many messages a second one connection may send over a longer
	// time. Default 50; 0: no limit.
	MessagesPerSecond float64 `koanf:"messages_per_second"`
	// Burst is how many messages it may send at once. Default 100.
	Burst int `koanf:"burst"`
	// RequestCost is what the requests of one connection may cost a second over a longer time: 1 for
	// a message, a room or a KiB of answers, 50 for a token. Default 500; 0: no limit.
	RequestCost float64 `koanf:"request_cost"`
	// RequestBurst is what they may cost at once. Default 5000: a join of 1024 rooms, and some.
	RequestBurst int `koanf:"request_burst"`
	// SnapshotBytes is how many bytes of snapshots one connection is sent in a minute over a longer
	// time, and about how many at once. Default 64MiB; 0: no limit.
	SnapshotBytes Size `koanf:"snapshot_bytes"`
	// UserBudgets is how many times the RequestCost and SnapshotBytes of one connection a user has,
	// over all connections. Default 4; 0: no limit, as guests that share one sub need it.
	UserBudgets float64 `koanf:"user_budgets"`
	// RoomsPerConnection is the most rooms one connection may be in. Default 1024; 0: no limit.
	RoomsPerConnection int `koanf:"rooms_per_connection"`
	// RoomsPerUser is the most rooms of one user on this node, over all connections; a room counts for
	// each of them. Default 20000, or RoomsPerConnection if that is more or 0; 0: no limit, as guests that
	// share one sub need it.
	RoomsPerUser int `koanf:"rooms_per_user"`
	// WildcardsPerConnection is the most wildcards ("prices:BTC*") of one connection. Default 8; 0: none.
	WildcardsPerConnection int `koanf:"wildcards_per_connection"`
	// RoomsPerWildcard is the most rooms that one wildcard may join. Default 1000; 0: as many as
	// RoomsPerConnection leaves.
	RoomsPerWildcard int `koanf:"rooms_per_wildcard"`
	// EmptyRooms is the most rooms without a message on this node that one user may have joined,
	// over all connections. Default 1000; 0: no limit.
	EmptyRooms int `koanf:"empty_rooms"`
	// RecallBytes is how many bytes of records are read again in a minute for one user whose clients
	// resume from further back than memory holds. Default 256MiB; 0: no limit.
	RecallBytes Size `koanf:"recall_bytes"`
	// RecallBytesPerConnection is how many bytes of records that are read again (RecallBytes) one connection
	// is given in a minute over a longer time, and about how many at once. Default 0: as many as its user.
	RecallBytesPerConnection Size `koanf:"recall_bytes_per_connection"`
	// BytesPerSecond is how many bytes one connection is sent a second over a longer time, and as many at
	// once. Beyond it the messages of its rooms wait, as if its client did not read. Default 0: no limit.
	BytesPerSecond Size `koanf:"bytes_per_second"`
}

const (
	// MaxTiers is the most tiers that a node numbers, from its start on.
	MaxTiers = 127
	// MaxTierName is the longest name of a tier, in bytes.
	MaxTierName = 64

	// minBytes is the least limits.bytes_per_second, and minRecall limits.recall_bytes and
	// limits.recall_bytes_per_connection.
	minBytes  = 1 << 10
	minRecall = 64 << 10
)

// Untiered returns the limits of accounts whose token names no tier.
func (l *Limits) Untiered() Tier { return l.Tier }

// IsTierKey reports whether limits has a key of that name that a tier may set, too.
func IsTierKey(name string) bool {
	_, is := fieldsByKey(reflect.ValueOf(Tier{}))[name]
	return is
}

// completeLimits sets the limits whose defaults depend on others.
func (c *collector) completeLimits(cfg *Config) {
	l := &cfg.Limits
	l.RoomsPerUser = c.roomsPerUser("limits", l.RoomsPerConnection, l.RoomsPerUser)
	for name, t := range l.Tiers {
		c.completeTier(l, tierPath(name), &t)
		l.Tiers[name] = t
	}
}

func tierPath(name string) string { return "limits.tiers." + name }

// completeTier sets what a row does not set to what accounts without a tier have.
func (c *collector) completeTier(l *Limits, path string, t *Tier) {
	from := fieldsByKey(reflect.ValueOf(l.Tier))
	for key, f := range fieldsByKey(reflect.ValueOf(t).Elem()) {
		if !c.isSet(path + "." + key) {
			f.Set(from[key])
		}
	}
	t.RoomsPerUser = c.roomsPerUser(path, t.RoomsPerConnection, t.RoomsPerUser)
}

// roomsPerUser returns the rooms of a user, most unless that was not set. n is those of a connection.
func (c *collector) roomsPerUser(path string, n, most int) int {
	switch {
	case c.isSet(path + ".rooms_per_user"):
		return most
	case n == 0 || most == 0:
		return 0
	}
	return max(most, n) // what one connection may have is no surprise
}

func (c *collector) checkTiers(cfg *Config) {
	l := &cfg.Limits
	if l.Claim == "" || len(l.Claim) > MaxTierName {
		c.add("limits.claim", fmt.Sprintf("%q is not the name of a claim", l.Claim),
			"write one of 1 to %d bytes, or remove the line for the default", MaxTierName)
	}
	if n := len(l.Tiers); n > MaxTiers {
		c.add("limits.tiers", fmt.Sprintf("%d tiers are more than %d", n, MaxTiers), "remove some")
	}
	before := len(c.faults)
	c.checkTier(cfg, "limits", l.Tier)
	if len(c.faults) > before {
		return // the tiers would repeat it
	}
	for name, t := range l.Tiers {
		path := tierPath(name)
		if name == "" || len(name) > MaxTierName {
			c.add(path, "the name of a tier has 1 to 64 bytes", "rename it, and the value of the claim")
		}
		c.checkTier(cfg, path, t)
	}
	c.checkOwnTopic(cfg, "limits.tiers_topic", l.TiersTopic, "what accounts may take", "rows of limits")
	if l.TiersTopic != "" && l.TiersTopic == cfg.Auth.Revocations {
		c.add("limits.tiers_topic", "is auth.revocations too, and revocations are not rows of limits",
			"name a topic of its own")
	}
}

// checkTier checks limits that a tier may set, or those of accounts without one.
func (c *collector) checkTier(cfg *Config, path string, t Tier) {
	if t.RequestCost > 0 && t.RequestBurst < TokenCost {
		c.add(path+".request_burst",
			fmt.Sprintf("%d is less than the %d that a token costs", t.RequestBurst, TokenCost),
			"set %d or more, or %s.request_cost to 0 for no limit", TokenCost, path)
	}
	if t.MessagesPerSecond > 0 && t.Burst < 1 {
		c.add(path+".burst", "0 would let no message through at all",
			"set 1 or more, or %s.messages_per_second to 0 for no limit", path)
	}
	if n := t.RecallBytes; n > 0 && n < minRecall {
		c.add(path+".recall_bytes", fmt.Sprintf("%s is less than %s, and a few messages take as much", n,
			Size(minRecall)), "set %s or more, or 0 for no limit", Size(minRecall))
	}
	if n := t.RecallBytesPerConnection; n > 0 && n < minRecall {
		c.add(path+".recall_bytes_per_connection", fmt.Sprintf("%s is less than %s, and a few messages take as much", n,
			Size(minRecall)), "set %s or more, or 0 for no limit", Size(minRecall))
	}
	if n := t.WildcardsPerConnection; n > maxWildcards {
		c.add(path+".wildcards_per_connection", fmt.Sprintf("%d is more than %d", n, maxWildcards),
			"set %d or less, or 0 to allow none", maxWildcards)
	}
	if n, most := t.RoomsPerWildcard, t.RoomsPerConnection; most > 0 && n > most &&
		c.isSet(path+".rooms_per_wildcard") {
		c.add(path+".rooms_per_wildcard",
			fmt.Sprintf("%d can never be reached: %s.rooms_per_connection is %d", n, path, most),
			"set %d or less, or %s.rooms_per_connection to more", most, path)
	}
	if n := t.BytesPerSecond; n > 0 && n < minBytes {
		c.add(path+".bytes_per_second", fmt.Sprintf("%s is less than %s, and some messages alone are longer", n,
			Size(minBytes)), "set %s or more, or 0 for no limit", Size(minBytes))
	}
	for key, most := range map[string]int{
		path + ".rooms_per_connection": t.RoomsPerConnection, path + ".rooms_per_user": t.RoomsPerUser,
	} {
		if n := len(cfg.AutoJoin); most > 0 && most < n {
			c.add(key, fmt.Sprintf("%d is less than the %d rooms of auto_join", most, n), "set %d or more", n)
		}
	}
}
