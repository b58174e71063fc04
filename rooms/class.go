package rooms

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Lag says what happens to a member whose next frames the tape has dropped.
type Lag uint8

const (
	LagSkip  Lag = iota // it gets a `gap` notice and continues at the tail
	LagClose            // its connection is closed with 4208; the client resumes
)

// Class is a named set of room policies. A zero field means the default that
// its comment states.
type Class struct {
	Name string

	// Conflate sends a member that lags only the newest frame of each key that has changed, instead
	// of every frame.
	Conflate bool
	// ConflateBytes and ConflateAge are how far a member of a conflated room may lag before that.
	// Zero means 256 KiB and 1 s.
	ConflateBytes int64
	ConflateAge   time.Duration
	// Snapshot sends a member that joins the newest frame of each key first, unless it asks for
	// none.
	Snapshot bool

	// RetainBytes bounds one tape. Zero means 8 MiB. In a private class it bounds the journal that
	// a shard's private rooms share.
	RetainBytes int64
	// RetainAge is the least time that a frame stays on the tape, unless the tape reaches
	// RetainBytes first. Zero means 10 s.
	RetainAge time.Duration

	Lag Lag

	// Owner is "{sub}" for a private class: a user may join only the rooms whose {owner} is the
	// user's own subject. "{claims.NAME}" and "{claims.NAME[]}" are for those that a claim of the
	// user's token names. Whoever joins members checks it. Empty means public.
	Owner string

	// Keep keeps records of rooms that have no members here. A private class always does, so that a
	// client whose node has died resumes from memory.
	Keep bool

	// Deflate sends frames deflated to members that accept that (RFC 7692). It is not for private
	// classes, where each frame goes to one user.
	Deflate bool

	// Interval is the least time between two sends to a member. Zero sends at once.
	Interval time.Duration
	// MaxKeys bounds the last values of one conflated room. Zero means 20,000.
	MaxKeys int
	// KeyTTL is how long a key without an update is kept. Zero means 24 h.
	KeyTTL time.Duration
}

// Private reports whether each room of the class belongs to one user.
func (c *Class) Private() bool { return c.Owner != "" }

// sacrifice returns the class's rank when tapes must shed, smallest first. A member of a conflated
// room loses only superseded values, a member of a stream gets a gap, and private messages go last.
func (c *Class) sacrifice() int {
	rank := 0
	if c.Private() {
		rank = 2
	}
	if !c.Conflate {
		rank++
	}
	return rank
}

// remembers reports whether rooms of the class hold the newest frame of each key.
func (c *Class) remembers() bool { return c.Conflate || c.Snapshot }

func (c *Class) keeps() bool { return c.Keep || c.Private() || c.remembers() }

// The policies with their defaults.
func (c *Class) retainBytes() int64         { return orDefault(c.RetainBytes, 8<<20) }
func (c *Class) retainAge() time.Duration   { return orDefault(c.RetainAge, 10*time.Second) }
func (c *Class) conflateBytes() int64       { return orDefault(c.ConflateBytes, 256<<10) }
func (c *Class) conflateAge() time.Duration { return orDefault(c.ConflateAge, time.Second) }
func (c *Class) maxKeys() int               { return orDefault(c.MaxKeys, 20_000) }
func (c *Class) keyTTL() time.Duration      { return orDefault(c.KeyTTL, 24*time.Hour) }

// orDefault returns v, or def if v is not above zero.
func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// Pattern maps room names to a class. Match is a literal ("prices"), a prefix
// ("prices:*") or a prefix with the owner ("orders:{owner}").
type Pattern struct {
	Match string
	Class *Class

	// MaxRooms bounds the rooms of the pattern that have data, since bad fields could create any
	// number. The same bound applies, apart from that, to rooms without data that clients have
	// asked for. Zero means 1,000,000.
	MaxRooms int

	// Feed is the topic that feeds the pattern's rooms. Nil: none does.
	Feed *Feed
	// Bare says that a frame is the Kafka value alone, without an envelope.
	Bare bool
	// Keyframed says that some records are keyframes, such as full order books. A member starts at
	// the newest keyframe, and jumps to the newest one when it lags.
	Keyframed bool

	prefix   string // Match up to the wildcard
	wildcard bool
	count    atomic.Int64 // rooms alive that have had data, in all shards
	empty    atomic.Int64 // rooms alive that have had no data: clients have asked for them
	guests   atomic.Int64 // those of them that clients without a user have asked for

	watches    atomic.Int64 // in all shards; if there are none, a record without a room costs nothing
	watchIndex int          // index of the pattern in the catalog; -1: its rooms cannot be joined by a wildcard
}

func (p *Pattern) maxRooms() int64 { return int64(orDefault(p.MaxRooms, 1_000_000)) }

// Rooms returns the number of rooms of the pattern that are alive.
func (p *Pattern) Rooms() int64 { return p.count.Load() + p.empty.Load() }

// Literal reports whether the pattern names exactly one room.
func (p *Pattern) Literal() bool { return !p.wildcard }

// Prefix returns the start that all names of the pattern share.
func (p *Pattern) Prefix() string { return p.prefix }

// Catalog holds the patterns of all rooms that may exist. It does not change
// once made, so any goroutine may read it.
type Catalog struct {
	patterns  []*Pattern
	literal   map[string]*Pattern
	wildcards []*Pattern // longest prefix first
}

// NewCatalog checks and compiles patterns.
func NewCatalog(patterns []*Pattern) (*Catalog, error) {
	c := &Catalog{patterns: patterns, literal: map[string]*Pattern{}}
	seen := map[string]string{}
	for i, p := range patterns {
		if err := p.compile(); err != nil {
			return nil, err
		}
		if p.watchIndex = -1; p.wildcard && !p.Bare && !p.Class.Private() {
			p.watchIndex = i
		}
		id := p.prefix
		if p.wildcard {
			id += "*"
		}
		if other, ok := seen[id]; ok {
			return nil, fmt.Errorf("rooms: pattern %q matches the same names as %q: keep one of them", p.Match, other)
		}
		seen[id] = p.Match
		if p.wildcard {
			c.wildcards = append(c.wildcards, p)
		} else {
			c.literal[p.Match] = p
		}
	}
	slices.SortStableFunc(c.wildcards, func(a, b *Pattern) int { return len(b.prefix) - len(a.prefix) })
	return c, nil
}

func (p *Pattern) compile() error {
	if p.Class == nil {
		return fmt.Errorf("rooms: pattern %q has no class", p.Match)
	}
	p.prefix, p.wildcard = p.Match, false
	for _, end := range []string{"*", "{owner}"} {
		if s, ok := strings.CutSuffix(p.Match, end); ok {
			p.prefix, p.wildcard = s, true
		}
	}
	switch {
	case p.Match == "":
		return fmt.Errorf("rooms: a pattern is empty: write a name such as \"prices\" or \"prices:*\"")
	case p.wildcard && p.prefix == "":
		return fmt.Errorf("rooms: pattern %q would match every name: begin it with a prefix such as "+
			"\"prices:\"", p.Match)
	case strings.ContainsAny(p.prefix, "*{}"):
		return fmt.Errorf("rooms: pattern %q: only one * or {owner} is allowed, and at the end", p.Match)
	case len(p.Match) > MaxName:
		return fmt.Errorf("rooms: pattern %q is longer than %d bytes", p.Match, MaxName)
	case p.Class.Private() && !strings.HasSuffix(p.Match, "{owner}"):
		return fmt.Errorf("rooms: pattern %q has the private class %q, so it must end in {owner}",
			p.Match, p.Class.Name)
	case !fits(p.prefix, inNames):
		return fmt.Errorf("rooms: pattern %q has line ends, control characters or bad UTF-8: remove them", p.Match)
	}
	return nil
}

// Resolve returns the pattern of a room. For a private room it also returns the owner. A literal
// goes before a wildcard, and a longer prefix before a shorter one. ok is false if no pattern
// matches, or if the pattern does not take the name (Pattern.Holds).
func (c *Catalog) Resolve(room string) (p *Pattern, owner string, ok bool) {
	if p, ok := c.literal[room]; ok {
		return p, "", true
	}
	if len(room) > MaxName {
		return nil, "", false
	}
	for _, p := range c.wildcards {
		if owner, ok := strings.CutPrefix(room, p.prefix); ok && owner != "" {
			if !holds(p, room) {
				return nil, "", false
			}
			return p, owner, true
		}
	}
	return nil, "", false
}

// Under returns the pattern of the rooms whose names begin with prefix: the one with the longest
// prefix that the argument begins with. It is nil if there is none. others are the patterns with
// longer prefixes, which take some of those names. Literals are not among them.
func (c *Catalog) Under(prefix string) (p *Pattern, others []*Pattern) {
	for _, q := range c.wildcards { // longest prefix first
		if len(q.prefix) > len(prefix) && strings.HasPrefix(q.prefix, prefix) {
			others = append(others, q)
		} else if strings.HasPrefix(prefix, q.prefix) {
			return q, others
		}
	}
	return nil, others
}

// Patterns returns all patterns in the order of the configuration.
func (c *Catalog) Patterns() []*Pattern { return c.patterns }
