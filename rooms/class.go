package rooms

import "time"

// Lag says what becomes of a member whose cursor retention has overtaken.
type Lag uint8

const (
	LagSkip  Lag = iota // a `gap` notice, then on from the tail
	LagClose            // close 4208, to be resumed
)

// Class is a named set of room policies. A zero field means the default that
// its comment states.
type Class struct {
	Name string

	// Conflate gives a member that lags the newest frame of each key that has
	// changed since, instead of all of them.
	Conflate bool
	// ConflateBytes and ConflateAge are how much a member of a conflated room may
	// lag before that. Zero means 256 KiB, and 1 s.
	ConflateBytes int64
	ConflateAge   time.Duration
	// Snapshot gives a member that joins the newest frame of each key first,
	// unless it asks for none.
	Snapshot bool

	// RetainBytes bounds one tape. Zero means 8 MiB. For a private class it
	// bounds the journal that a shard's private rooms share.
	RetainBytes int64
	// RetainAge is how long a frame stays on the tape at least, unless bytes
	// run out first. Zero means 10 s.
	RetainAge time.Duration

	Lag Lag

	// Owner is "{sub}" for a private class: only the user whose subject equals
	// the {owner} of the room's name may join. Empty means public.
	Owner string

	// Keep keeps records of rooms that nobody here listens to. A private class
	// always does, so that a client that lost its node resumes from memory.
	Keep bool

	// Deflate sends its frames deflated to members that take that (RFC 7692). Not
	// for private classes, whose frames are one member's each.
	Deflate bool

	// Interval is the least time between two sends to a member. Zero sends at once.
	Interval time.Duration
	// MaxKeys bounds the last values of one conflated room. Zero means 20,000.
	MaxKeys int
	// KeyTTL is how long a key that is never updated is remembered. Zero means 24 h.
	KeyTTL time.Duration
}

// Private reports whether rooms of the class belong to one user each.
func (c *Class) Private() bool { return c.Owner != "" }

// sacrifice is the class's turn when tapes must shed, smallest first. Members of a
// conflated room that lag lose nothing but the values in between, those of a stream get
// a gap, and private messages go last.
func (c *Class) sacrifice() int {
	turn := 0
	if c.Private() {
		turn = 2
	}
	if !c.Conflate {
		turn++
	}
	return turn
}

// remembers reports whether rooms hold the newest frame of each key.
func (c *Class) remembers() bool { return c.Conflate || c.Snapshot }

func (c *Class) keeps() bool { return c.Keep || c.Private() || c.remembers() }

func (c *Class) retainBytes() int64 {
	if c.RetainBytes > 0 {
		return c.RetainBytes
	}
	return 8 << 20
}

func (c *Class) retainAge() time.Duration {
	if c.RetainAge > 0 {
		return c.RetainAge
	}
	return 10 * time.Second
}

func (c *Class) conflateBytes() int64 {
	if c.ConflateBytes > 0 {
		return c.ConflateBytes
	}
	return 256 << 10
}

func (c *Class) conflateAge() time.Duration {
	if c.ConflateAge > 0 {
		return c.ConflateAge
	}
	return time.Second
}

func (c *Class) maxKeys() int {
	if c.MaxKeys > 0 {
		return c.MaxKeys
	}
	return 20_000
}

func (c *Class) keyTTL() time.Duration {
	if c.KeyTTL > 0 {
		return c.KeyTTL
	}
	return 24 * time.Hour
}
