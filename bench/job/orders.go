package job

import "time"

// PingOrder has all clients of a worker send the method `ping`, each at a time of its
// own within Every. Times are CLOCK_MONOTONIC.
type PingOrder struct {
	From  int64         `json:"from"`
	To    int64         `json:"to"`    // from when on none is due
	Timed int64         `json:"timed"` // pings due before this are not timed
	Every time.Duration `json:"every"`
}

// ChurnOrder has some clients of a worker leave their rooms and join them again.
type ChurnOrder struct {
	From    int64         `json:"from"` // CLOCK_MONOTONIC
	To      int64         `json:"to"`   // after which nobody leaves any more
	Clients int           `json:"clients"`
	Every   time.Duration `json:"every"` // between two clients' leaving
	Away    time.Duration `json:"away"`
	Resume  bool          `json:"resume"` // they go on where they left
}

// Timing is what a client must know about a run to check and to time it.
type Timing struct {
	Schedule Schedule     `json:"schedule"`
	Anchor   int64        `json:"anchor"`         // ns since 1970 minus CLOCK_MONOTONIC
	Skew     int64        `json:"skew,omitempty"` // of the wall clock here, ahead of that which Anchor goes by
	Warm     int64        `json:"warm"`           // messages before this number are not timed
	Total    int64        `json:"total"`          // messages of the first feed. 0: not known
	From     int64        `json:"from"`           // the measured window, ns since 1970
	To       int64        `json:"to"`
	More     []FeedTiming `json:"more,omitempty"` // of the further feeds
}

// FeedTiming is when the messages of a further feed are due, and from which on they are timed.
type FeedTiming struct {
	Schedule Schedule `json:"schedule"`
	Warm     int64    `json:"warm"`
	Total    int64    `json:"total"`
}

// FeedSpan is how many messages one of several feeds may have; MaxFeeds of them
// share the ten digits of a number.
const (
	FeedSpan = 1_000_000_000
	MaxFeeds = MaxMessages / FeedSpan
)

// SlowOrder has all clients of a worker read slowly for a while.
type SlowOrder struct {
	From int64 `json:"from"` // CLOCK_MONOTONIC
	To   int64 `json:"to"`
	Rate int   `json:"rate"` // bytes a second of each client
}

// StormOrder has all clients lose their connections at once, and come back.
type StormOrder struct {
	At     int64         `json:"at"`     // CLOCK_MONOTONIC
	Until  int64         `json:"until"`  // when to give up
	Jitter time.Duration `json:"jitter"` // each comes back at a time of its own within so much
	Reset  bool          `json:"reset"`  // connections end by a reset
	Resume bool          `json:"resume"` // they go on from the positions that they had
}
