package job

import "time"

// Job tells a worker process which clients it has, and how they behave.
type Job struct {
	Endpoint
	Keys   Keys `json:"keys"`
	Speech      // the protocol, and its settings

	Base    int `json:"base"`    // number of the first user of all workers that share the job
	First   int `json:"first"`   // number of this worker's first user
	Clients int `json:"clients"` // the most clients that there will be

	// Rooms to join. `{user}` stands for the client's user, `{key}` for each stream that
	// the client has of the feed with that room. Empty: the seven rooms that the gateway
	// joins by itself.
	Rooms       []string     `json:"rooms,omitempty"`
	Auto        bool         `json:"auto,omitempty"`        // those seven rooms too
	Assignments []Assignment `json:"assignments,omitempty"` // of each feed. Empty: one, all to all

	Size   int    `json:"size"`   // bytes of a value; of recorded values, of the longest
	Fields string `json:"fields"` // further members of a value
	Bare   bool   `json:"bare"`   // values come without an envelope

	Observe bool `json:"observe,omitempty"` // every message of the rooms counts, whatever it holds
	Wrapped bool `json:"wrapped,omitempty"` // a value may stand anywhere in what was published (ValueTemplate)

	Check bool `json:"check"` // check every byte of every value, and prev

	Resume bool `json:"resume"` // clients that come back resume from their positions

	Deflate bool `json:"deflate"` // offer permessage-deflate

	Filter []string `json:"filter,omitempty"` // the only keys that the clients want; empty: all

	InFlight int     `json:"in_flight"` // handshakes at a time; 0: 64
	Rate     float64 `json:"rate"`      // handshakes a second; 0: one after another
	// least time between two polls while a run lasts; 0: wake for each event
	Pace     time.Duration `json:"pace"`
	RcvBuf   int           `json:"rcvbuf"`   // SO_RCVBUF; 0: the kernel's choice
	Prefer   bool          `json:"prefer"`   // run ahead of other processes, where the system allows it
	CPUs     []int         `json:"-"`        // processors that the clients may use; empty: all
	Agents   Agents        `json:"-"`        // where the clients run; empty: here
	Stamp    bool          `json:"stamp"`    // take the kernel's receive times
	Arrivals int64         `json:"arrivals"` // record arrivals of this many messages, to see the order of a pass
}

// Shape returns the shape of the values that clients get, or of the stamps of recorded values.
func (j *Job) Shape() (ValueShape, error) {
	if j.Observe {
		return ValueShape{}, nil // no value is looked for
	}
	if len(j.Assignments) > 0 && j.Assignments[0].Round != nil {
		return NewStampShape(nil), nil
	}
	return NewValueShape(j.Size, j.Fields)
}

// Answer is a worker's reply to one order.
type Answer struct {
	Err     string `json:"err,omitempty"`
	Status  Status `json:"status,omitzero"`
	Results *Tally `json:"results,omitempty"`
	// Interval covers the time since the previous interval. It answers interval and finish.
	Interval *Interval `json:"interval,omitempty"`
}

// Status is the state of a worker's clients.
type Status struct {
	Joined    int   `json:"joined"`
	Gone      int   `json:"gone"`
	Others    int64 `json:"others"` // data frames before a run, or of other rooms
	Handshake *Hist `json:"handshake,omitempty"`
}

// Tally is what a worker's clients got in a run. Tallies of several workers add up.
type Tally struct {
	FeedTally       // of the first feed; all below is of all feeds
	Clients   int   `json:"clients"`
	Gone      int   `json:"gone"`    // clients whose connection ended
	Invalid   int64 `json:"invalid"` // torn or otherwise invalid frames; each one ended its connection
	Due       int64 `json:"due"`     // messages due in the window that clients should have got
	Breaks    int64 `json:"breaks"`  // breaks of the prev chain
	Others    int64 `json:"others"`
	Early     int64 `json:"early"`

	Frames       int64 `json:"frames"`
	Bytes        int64 `json:"bytes"` // on the wire, headers included
	WindowFrames int64 `json:"window_frames"`
	WindowBytes  int64 `json:"window_bytes"`

	Arrival *Hist `json:"arrival,omitempty"`
	Lag     *Hist `json:"lag"`   // how long received bytes waited in the kernel until we read them, at a sample
	Turns   *Hist `json:"turns"` // how long one turn of the loop took, for each event

	CPU     float64          `json:"cpu"`     // seconds in the window
	Asleep  float64          `json:"asleep"`  // seconds of the window in which the loop had nothing to do
	Reads   int64            `json:"reads"`   // in the window
	Notices map[string]int64 `json:"notices"` // by method
	Closes  map[string]int64 `json:"closes"`  // by code, or by how else a connection ended
	Faults  []string         `json:"faults"`  // the first few

	Feeds []FeedTally `json:"feeds,omitempty"` // the further feeds

	Places *Places     `json:"places,omitempty"`
	Stall  *Stall      `json:"stall,omitempty"`
	Churn  *ChurnTally `json:"churn,omitempty"`
	Storm  *StormTally `json:"storm,omitempty"`
	Pings  *PingTally  `json:"pings,omitempty"`
}

// Counts are the messages of a feed at all clients together.
type Counts struct {
	Want    int64 `json:"want"` // that they should have got
	Unique  int64 `json:"unique"`
	Lost    int64 `json:"lost"`
	Late    int64 `json:"out_of_order"`
	Doubled int64 `json:"doubled"`
	Foreign int64 `json:"foreign"`          // valid, but of another publisher, or in the envelope of another room
	Absent  int64 `json:"absent,omitempty"` // published while their clients were away: not a loss
}

// FeedTally is what clients got of a feed.
type FeedTally struct {
	Counts
	Latency *Hist `json:"latency"`
}

// MaxFaults is how many faults a report describes in words.
const MaxFaults = 8

// Agents are other machines that clients run on.
type Agents struct {
	Addrs []string // HOST:PORT. nil: clients run here
	Key   string
}

// DefaultInFlight is how many handshakes a worker has under way unless its job sets another number.
const DefaultInFlight = 64

// MostObserved is the longest value that is read.
const MostObserved = 1 << 20
