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

	// Conflate and Snapshot are kept here for the classes that want only the
	// newest frame of each key; the tape itself treats all classes alike.
	Conflate bool
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

	// Interval is the least time between two sends to a member. Zero sends at once.
	Interval time.Duration
	// MaxKeys bounds the last values of one conflated room. Zero means 20,000.
	MaxKeys int
	// KeyTTL is how long a key that is never updated is remembered. Zero means 24 h.
	KeyTTL time.Duration
}

// Private says whether rooms of the class belong to one user each.
func (c *Class) Private() bool { return c.Owner != "" }

func (c *Class) keeps() bool { return c.Keep || c.Private() }

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
