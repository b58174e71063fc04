package job

import "time"

// PingOrder makes all clients of a worker send the method `ping`. Each client pings at
// a time of its own within Every. Times are CLOCK_MONOTONIC.
type PingOrder struct {
	From  int64         `json:"from"`
	To    int64         `json:"to"`    // no ping is due from then on
	Timed int64         `json:"timed"` // pings due before this are not timed
	Every time.Duration `json:"every"`
}

// ChurnOrder makes some clients of a worker leave their rooms and join them again.
type ChurnOrder struct {
	From    int64         `json:"from"` // CLOCK_MONOTONIC
	To      int64         `json:"to"`   // no client leaves after that
	Clients int           `json:"clients"`
	Every   time.Duration `json:"every"` // time between one client's leaving and the next one's
	Away    time.Duration `json:"away"`
	Resume  bool          `json:"resume"` // they resume from where they left
}

// Timing is what a client must know about a run to check and time its messages.
type Timing struct {
	FeedTiming              // of the first feed
	Anchor     int64        `json:"anchor"`         // ns since 1970 minus CLOCK_MONOTONIC
	Skew       int64        `json:"skew,omitempty"` // how far the wall clock here is ahead of Anchor's
	From       int64        `json:"from"`           // the measured window, ns since 1970
	To         int64        `json:"to"`
	More       []FeedTiming `json:"more,omitempty"` // the further feeds
}

// FeedTiming says when the messages of a feed are due.
type FeedTiming struct {
	Schedule Schedule `json:"schedule"`
	Warm     int64    `json:"warm"`  // messages below this number are not timed
	Total    int64    `json:"total"` // 0: unknown
}

// FeedSpan is how many messages one of several feeds may have. MaxFeeds feeds share
// the ten digits of a number.
const (
	FeedSpan = 1_000_000_000
	MaxFeeds = MaxMessages / FeedSpan
)

// SlowOrder makes all clients of a worker read slowly for a while.
type SlowOrder struct {
	From int64 `json:"from"` // CLOCK_MONOTONIC
	To   int64 `json:"to"`
	Rate int   `json:"rate"` // bytes a second of each client
}

// StormOrder makes all clients lose their connections at once, and come back.
type StormOrder struct {
	At     int64         `json:"at"`     // CLOCK_MONOTONIC
	Until  int64         `json:"until"`  // when to give up
	Jitter time.Duration `json:"jitter"` // each client comes back at a time of its own within this
	Reset  bool          `json:"reset"`  // connections end with a reset
	Resume bool          `json:"resume"` // clients resume from their positions
}
