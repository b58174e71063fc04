package rooms

import "time"

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
