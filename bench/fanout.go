package bench

import (
	"context"
	"io"
	"time"

	"tapecast/bench/pool"
	"tapecast/bench/publish"
	"tapecast/bench/rawsend"
	"tapecast/bench/text"
)

// FanoutConfig is one measurement of messages to many clients. Scenarios differ in which
// clients share a room, and in what happens to the clients meanwhile.
type FanoutConfig struct {
	Scenario string // its name in the report. "": fanout
	Target   Target

	// Clients.

	Clients  int
	Procs    int           // client processes. 0: 1
	Pace     time.Duration // least time between two polls of a client process. 0: none
	InFlight int           // handshakes at a time. 0: 64
	RcvBuf   int           // SO_RCVBUF of the clients. 0: the kernel's choice
	Deflate  bool          // the clients offer permessage-deflate
	Check    bool          // every byte and every prev is checked

	// Rooms.

	Rooms    []string // published to in turn; the clients join them
	Group    int      // clients that share a room of their own, {key} or {user} in Rooms. 0: all are in all rooms
	AutoJoin bool     // the clients join the seven rooms that the gateway chooses instead
	Bare     bool     // the rooms' frames have no envelope

	// Messages.

	Rate     float64 // messages a second
	PerRoom  float64 // messages a second to each group's room, in place of Rate
	Size     int     // bytes of a value
	Fields   string  // further members of a value
	Template string  // envelope around each value, see job.ValueTemplate. "": none
	Keys     int     // number of record keys, in turn (Kafka). 0: 1
	Feeds    []Feed  // published besides

	// Replay publishes a recording, to one room, or with {key} to one room for each of its
	// keys. Size and Fields have no meaning then, and Rate replaces the recorded times.
	// nil: none.
	Replay *ReplayConfig

	// Times.

	Warmup   time.Duration // before the window. Messages are checked, not timed
	Duration time.Duration // of the window
	Drain    time.Duration // longest wait for stragglers. 0: 30 s

	// Orders: messages to single users.

	OrdersRate    float64 // messages a second. 0: none
	OrdersClients int     // 0: 50
	OrdersTopic   string  // Kafka: the topic of orders, keyed by user
	OrdersRoom    string  // with {user}. "": orders:{user}

	// Further clients.

	Filtered   int           // clients that want only a few of the record keys
	FilterKeys int           // how many. 0: 5
	Stalled    int           // clients that stop reading
	StallFor   time.Duration // 0: for the window and a second more
	Slow       int           // clients that read slowly while others are stalled
	SlowRate   int           // bytes a second that each of them reads. 0: 4096

	// What happens meanwhile. nil: nothing.

	Churn *ChurnConfig
	Storm *StormConfig
	Soak  *SoakConfig
	Abuse *AbuseConfig

	// Runs.

	Runs     int  // 0: 1
	Paired   bool // each run twice: without the stalled clients, and with them
	Baseline bool // each run twice: against the gateway, and against rawsend
	RawBatch int  // messages that rawsend puts into one system call. 0: 1
	Pin      bool // clients on the last processor, rawsend on the first
	GC       bool // make the gateway collect garbage before its heap is read (needs its admin.pprof)

	Log io.Writer // progress, a line each. nil: none

	recorded     *recording    // what Replay's file holds; nil: none
	ordersFields string        // further members of the values of orders
	settle       time.Duration // how long new connections rest before memory is read. 0: 1 s
	start        starter       // of the hostile process and its sink. nil: machine.StartLast
}

// FanoutResult is what Fanout measured. Its JSON is for scripts.
type FanoutResult struct {
	Scenario  string     `json:"scenario"`
	Clients   int        `json:"clients"`
	Group     int        `json:"group,omitempty"` // clients of a room
	Rooms     []string   `json:"rooms"`
	Rate      float64    `json:"rate"`
	Size      int        `json:"size"`
	Bare      bool       `json:"bare"`
	Deflate   bool       `json:"deflate"`
	Seconds   float64    `json:"seconds"`
	Recording *Recording `json:"recording,omitempty"` // its means are Rate and Size then
	Runs      []*Run     `json:"legs"`
	// Medians of the runs, by the runs' names.
	Medians map[string]Medians `json:"medians"`
	// Ratio is the gateway's CPU per message relative to rawsend's, of the medians.
	Ratio float64 `json:"cpu_ratio,omitempty"`
	// Paired is the p99 with stalled clients relative to the p99 without, of the medians.
	Paired float64 `json:"p99_ratio,omitempty"`
	// Abuse is the verdict over the runs of an abuse.
	Abuse *AbuseVerdict `json:"abuse,omitempty"`
}

// Feed is a run of messages of its own to the clients of a fanout, beside the main feed.
type Feed struct {
	Name   string
	Topic  string // Kafka
	Room   string // {user}: each client's own room; {key}: one of several
	Joined bool   // the gateway joins it for every client

	Rate    float64 // messages a second
	Streams int     // with {key}: how many rooms
	Each    int     // how many of them a client joins
	Zipf    float64 // room s gets messages and members in proportion to 1/(s+1)^Zipf
}

// Names of runs.
const (
	runGateway   = "gateway"
	runRawsend   = "rawsend"
	runUnstalled = "without stalled"
)

// Fanout runs the measurement. The result may come with an error: a FaultError if messages
// were lost or wrong, an InvalidError if the bench was the bottleneck.
func Fanout(ctx context.Context, cfg FanoutConfig) (*FanoutResult, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Ready(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Abuse != nil {
		if err := CheckAddress(e); err != nil {
			return nil, err
		}
	}
	if err := cfg.checkChained(ctx, e); err != nil {
		return nil, err
	}
	further := []string{cfg.OrdersTopic}
	for _, f := range cfg.Feeds {
		further = append(further, f.Topic)
	}
	cfg.Target.WarnCompacted(ctx, further...)
	res := &FanoutResult{
		Scenario: cfg.Scenario, Clients: cfg.Clients, Group: cfg.Group, Rooms: cfg.Rooms, Rate: cfg.Rate,
		Size: cfg.Size, Bare: cfg.Bare, Deflate: cfg.Deflate,
		Seconds: cfg.Duration.Seconds(), Medians: map[string]Medians{},
	}
	if r := cfg.recorded; r != nil {
		res.Recording = &r.about
	}
	runs := cfg.runs()
	for k := range max(cfg.Runs, 1) {
		for _, r := range runs {
			r.end = e
			r.logf("run %d of %d, %s", k+1, max(cfg.Runs, 1), r.name)
			run, err := r.run(ctx)
			if err != nil && len(res.Runs) == 0 {
				return nil, err
			} else if err != nil {
				return res, err
			}
			res.Runs = append(res.Runs, run)
		}
	}
	res.summarize()
	return res, res.verdict()
}

// runs returns the runs that make up one repetition.
func (c *FanoutConfig) runs() []fanoutRun {
	runs := []fanoutRun{{cfg: *c, name: runGateway}}
	switch {
	case c.Baseline:
		runs = append(runs, fanoutRun{cfg: *c, name: runRawsend})
	case c.Paired:
		without := *c
		without.Stalled, without.Slow = 0, 0
		runs = []fanoutRun{{cfg: without, name: runUnstalled}, runs[0]}
	case c.Abuse != nil && c.Abuse.Paired:
		runs = []fanoutRun{{cfg: *c, name: runSink}, runs[0]}
	case c.Storm != nil:
		runs = nil
		for _, s := range c.Storm.each() {
			one := *c
			one.Storm = &s
			runs = append(runs, fanoutRun{cfg: one, name: s.name()})
		}
	}
	return runs
}

type fanoutRun struct {
	cfg  FanoutConfig
	end  Endpoint
	name string

	readers, orders, stalled, slow, filtered *pool.Workers

	samples []sample // of the gateway's metrics

	pubs []publish.Publication // of each feed

	follower *follower

	raw    *pool.Worker
	rawOut rawsend.Answer

	abuse *abuse // nil: without hostile clients
}

func (r *fanoutRun) logf(format string, args ...any) { text.LogLine(r.cfg.Log, format, args...) }
