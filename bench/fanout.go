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

// FanoutConfig is one measurement of messages to many clients. What the
// scenarios differ in is who is in which room and what happens to the clients
// meanwhile.
type FanoutConfig struct {
	Scenario string // its name in the report. "": fanout
	Target   Target
	Clients  int
	Procs    int // client processes. 0: 1

	Rooms    []string // that are published to, in turn; the clients join them
	Group    int      // so many clients share a room of their own, {key} or {user} in Rooms. 0: all are in all rooms
	PerRoom  float64  // messages a second to each group's room, in place of Rate
	Feeds    []Feed   // what is published besides
	AutoJoin bool     // the clients join the seven rooms that the gateway chooses instead
	Rate     float64  // messages a second
	Size     int      // bytes of a value
	Fields   string   // further members of a value
	Template string   // what is published has its value in this, see ValueTemplate. "": it is the value
	Keys     int      // number of record keys, in turn (Kafka). 0: 1
	Bare     bool     // the rooms' frames have no envelope
	Deflate  bool     // the clients offer permessage-deflate
	Check    bool     // every byte and every prev is checked

	Warmup   time.Duration // before the window. Messages are checked, not timed
	Duration time.Duration // of the window
	Drain    time.Duration // at most so long is waited for stragglers. 0: 30 s

	Pace     time.Duration // least time between two polls of a client process. 0: none
	InFlight int           // handshakes at a time. 0: 64
	RcvBuf   int           // SO_RCVBUF of the clients. 0: the kernel's choice

	OrdersRate    float64 // messages a second to single users meanwhile. 0: none
	OrdersClients int     // 0: 50
	OrdersTopic   string  // Kafka: the topic of orders, keyed by user
	OrdersRoom    string  // with {user}. "": orders:{user}

	Filtered   int // further clients that want a few of the record keys only
	FilterKeys int // how many. 0: 5

	Stalled  int           // further clients that stop reading
	StallFor time.Duration // 0: for the window and a second more
	Paired   bool          // each run once without the stalled, and once with them

	Slow     int // further clients that read slowly, as long as others stall
	SlowRate int // bytes a second that each of them reads. 0: 4096

	Churn *ChurnConfig // nil: nobody comes and goes
	Storm *StormConfig // nil: none
	Soak  *SoakConfig  // nil: it is looked at before and after
	Abuse *AbuseConfig // nil: nobody is hostile

	// Replay has the messages be those of a recording, to one room, or to one for
	// each of its keys, with {key}. Size and Fields have no meaning then; Rate is in
	// place of the recorded times. nil: none
	Replay *ReplayConfig

	GC       bool // have the gateway collect before its heap is read (needs its admin.pprof)
	Baseline bool // each run once against the gateway, and once against rawsend
	RawBatch int  // messages that rawsend gathers into a system call. 0: 1
	Pin      bool // clients on the last processor, rawsend on the first
	Runs     int  // 0: 1

	Log io.Writer // progress, a line each. nil: none

	recorded *recording // what Replay's file holds; nil: none

	ordersFields string // further members of the values of orders

	settle time.Duration // how long new connections are left alone before memory is read. 0: 1 s
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
	Recording *Recording `json:"recording,omitempty"` // Rate and Size are its means then
	Runs      []*Run     `json:"legs"`
	// Medians over the runs, by the runs' names.
	Medians map[string]Medians `json:"medians"`
	// Ratio is the gateway's CPU per message to rawsend's, of the medians.
	Ratio float64 `json:"cpu_ratio,omitempty"`
	// Paired is the p99 with stalled clients to that without, of the medians.
	Paired float64 `json:"p99_ratio,omitempty"`
	// Abuse is what the runs of an abuse add up to.
	Abuse *AbuseVerdict `json:"abuse,omitempty"`
}

// Feed is a run of messages of its own to the clients of a fanout, beside the
// main one.
type Feed struct {
	Name   string
	Topic  string // Kafka
	Room   string // {user}: each client's own; {key}: one of several
	Joined bool   // by the gateway itself, for every client

	Rate    float64 // messages a second
	Streams int     // with {key}: how many rooms
	Each    int     // of which a client joins so many
	Zipf    float64 // room s gets messages and members in proportion to 1/(s+1)^Zipf
}

// Names of runs.
const (
	runGateway   = "gateway"
	runRawsend   = "rawsend"
	runUnstalled = "without stalled"
)

// Fanout runs the measurement. The result may come with an error: a FaultError
// where messages were lost or wrong, an InvalidError where the bench was the
// bottleneck.
func Fanout(ctx context.Context, cfg FanoutConfig) (*FanoutResult, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Ready(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Abuse != nil {
		if err := cfg.Abuse.CheckAddress(e); err != nil {
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
			if err != nil {
				return res, err
			}
			res.Runs = append(res.Runs, run)
		}
	}
	res.summarize()
	return res, res.verdict()
}

// runs are what each run consists of.
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

// fanoutRun is one run under way.
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

	abuse *abuse // nil: nobody is hostile
}

func (r *fanoutRun) logf(format string, args ...any) { text.LogLine(r.cfg.Log, format, args...) }
