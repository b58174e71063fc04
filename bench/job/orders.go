package job

import (
	"encoding/json"
	"time"
)

// Order is one command to a worker. Moments are CLOCK_MONOTONIC.
type Order struct {
	// Op is connect, status, run, interval, stall, slow, storm, churn, ping, finish or close.
	Op       string  `json:"op"`
	Clients  int     `json:"clients,omitempty"` // of connect and churn
	Timing   Timing  `json:"timing,omitzero"`
	Total    int64   `json:"total,omitempty"`    // finish: how many messages were published
	Totals   []int64 `json:"totals,omitempty"`   // finish: the same of the further feeds
	Deadline int64   `json:"deadline,omitempty"` // when to give up

	// From and To are when a stall, slow reading, churn or pings begin and end. No ping is due, and no client
	// leaves, from To on. A storm begins at From, and at To it gives up.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`

	Rate   int           `json:"rate,omitempty"`   // slow: bytes a second that each client reads
	Every  time.Duration `json:"every,omitempty"`  // churn: between two clients that leave; ping: of one client's pings
	Timed  int64         `json:"timed,omitempty"`  // ping: those due before this are not timed
	Away   time.Duration `json:"away,omitempty"`   // churn: how long a client stays away from its rooms
	Jitter time.Duration `json:"jitter,omitempty"` // storm: each client comes back at a time of its own within this
	Reset  bool          `json:"reset,omitempty"`  // storm: the connections end with a reset
	Resume bool          `json:"resume,omitempty"` // churn, storm: clients resume from their positions
}

// On returns the order with its times in another machine's clocks. That machine's
// monotonic clock is ahead of ours by ahead, and its wall clock by skew.
func (o Order) On(ahead, skew int64) Order {
	if ahead == 0 && skew == 0 {
		return o
	}
	for _, t := range []*int64{&o.Deadline, &o.From, &o.To, &o.Timed} {
		if *t != 0 {
			*t += ahead
		}
	}
	if o.Op == "run" { // its times are ns since 1970 by our clock
		o.Timing.Anchor -= ahead
		o.Timing.Skew = skew
	}
	return o
}

// Back converts the times in a worker's answer to our clock.
func (a *Answer) Back(ahead int64) {
	if a.Results != nil && a.Results.Storm != nil {
		a.Results.Storm.At -= ahead
		a.Results.Storm.Last -= ahead
	}
}

// Orders reads the orders of a process until its input ends, and then calls ended and closes the channel.
// It calls came after each order.
func Orders[O any](dec *json.Decoder, came, ended func()) <-chan O {
	orders := make(chan O, 1)
	go func() {
		defer came()
		defer close(orders)
		defer ended()
		for {
			var o O
			if dec.Decode(&o) != nil {
				return
			}
			orders <- o
			came()
		}
	}()
	return orders
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
