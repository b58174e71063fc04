package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tapecast/bench"
	"tapecast/bench/hostile"
	"tapecast/bench/resumes"
)

func rampCommand() *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: "market.trades"}}
	c := bench.RampConfig{Fanout: bench.FanoutConfig{Rooms: []string{"trades"}, Fields: aSymbol, Pace: time.Millisecond,
		Duration: 5 * time.Second}}
	run := func(ctx context.Context, c bench.RampConfig) (*bench.RampResult, error) {
		if len(c.Clients) == 0 && len(c.Rates) == 0 {
			c.Rates = []float64{50, 100, 200, 400, 800}
		}
		return bench.Ramp(ctx, c)
	}
	cmd := measuring("ramp", &t, &c, &c.Fanout.Target, &c.Fanout.Log, run)
	t.addPublishing(cmd)
	f := cmd.Flags()
	addLoad(f, &c.Fanout)
	addValues(f, &c.Fanout)
	addRooms(f, &c.Fanout)
	f.Float64SliceVar(&c.Rates, "rates", nil, "`messages` a second of each step (default 50,100,200,400,800)")
	f.IntSliceVar(&c.Clients, "client-steps", nil, "`clients` of each step, in place of --rates")
	f.DurationVar(&c.SLO, "slo", 250*time.Millisecond, "p99 of the latency that a step must hold")
	f.BoolVar(&c.All, "all", false, "go on after the knee")
	return cmd
}

func idleCommand() *cobra.Command {
	var t targetFlags
	var c bench.IdleConfig
	cmd := measuring("idle", &t, &c, &c.Target, &c.Log, bench.Idle)
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&c.Steps, "steps", []int{2000, 6000, 10000, 14000, 18000},
		"`numbers` of clients at which memory is read")
	f.IntVar(&c.Procs, "procs", 1, "client `processes`")
	f.DurationVar(&c.Settle, "settle", 5*time.Second, "how long to leave connections alone before memory is read")
	f.BoolVar(&c.Touch, "touch", false, "first deliver a message to each private room")
	f.StringSliceVar(&c.TouchTopics, "touch-topics", nil,
		"the `topics` that feed those rooms, keyed by the user (Kafka)")
	f.BoolVar(&c.GC, "gc", false, "make the gateway collect garbage first (needs its admin.pprof)")
	return cmd
}

func stormCommand() *cobra.Command {
	storm := &bench.StormConfig{}
	return fanoutLike("storm", bench.FanoutConfig{
		Clients: 10_000, Rooms: []string{"trades"}, Fields: aSymbol, Rate: 5, Storm: storm, Duration: 20 * time.Second,
		Check: true, Pace: time.Millisecond,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		addOrders(f, c)
		f.IntVar(&c.Keys, "keys", 1, "`number` of record keys, in turn (Kafka)")
		f.IntVar(&c.Group, "group", 0,
			"`clients` that share a room of their own, {key} or {user} in --rooms (default: all are in all rooms)")
		f.DurationSliceVar(&storm.Jitters, "jitter", []time.Duration{0, 5 * time.Second},
			"`times` over which clients spread their return; each is a measurement of its own")
		f.DurationVar(&storm.At, "at", 2*time.Second, "`time` from the window's start until the connections end")
		f.BoolVar(&storm.Reset, "reset", false, "end them with a reset, as when a machine dies")
		f.BoolVar(&storm.Resume, "resume", false, "resume: clients must miss nothing")
	})
}

func slowCommand() *cobra.Command {
	return fanoutLike("slow", bench.FanoutConfig{
		Clients: 1000, Rooms: []string{"trades"}, Fields: aSymbol, Rate: 100, Duration: 20 * time.Second, Check: true,
		Pace:    time.Millisecond,
		Stalled: 100, Slow: 100, Paired: true,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		addOrders(f, c)
		addStalled(f, c)
	})
}

func churnCommand() *cobra.Command {
	churn := &bench.ChurnConfig{}
	return fanoutLike("churn", bench.FanoutConfig{
		Clients: 1000, Rooms: []string{"trades"}, Fields: aSymbol, Rate: 50, Check: true, Pace: time.Millisecond,
		Churn: churn,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		addOrders(f, c)
		f.Float64Var(&churn.Share, "share", 0.2, "`share` of the clients that leave and come back")
		f.Float64Var(&churn.Rate, "leaves", 50, "`clients` that leave per second")
		f.DurationVar(&churn.Away, "away", time.Second, "how long each stays away")
		f.BoolVar(&churn.Resume, "resume", false, "resume: clients must miss nothing")
	})
}

func soakCommand() *cobra.Command {
	soak := &bench.SoakConfig{}
	return fanoutLike("soak", bench.FanoutConfig{
		Rooms: []string{"trades"}, Fields: aSymbol, Rate: 20, Duration: time.Hour, Check: true, Pace: time.Millisecond,
		Soak: soak,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		addOrders(f, c)
		f.DurationVar(&soak.Every, "every", 10*time.Second, "time between two looks")
		f.Float64Var(&soak.MostGrowth, "most-growth", 0,
			"most `bytes` an hour by which resident memory may grow; more is a fault (default: it is only reported)")
	})
}

// aSymbol is the member that the route of market.trades needs in a value.
const aSymbol = `"s":"BENCH"`

func abuseCommand() *cobra.Command {
	x := &bench.AbuseConfig{}
	token := true
	cmd := fanoutLike("abuse", bench.FanoutConfig{
		Clients: 2000, Rooms: []string{"trades"}, Fields: aSymbol, Rate: 20, Duration: 30 * time.Second,
		Check: true, Pace: time.Millisecond, Abuse: x,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		f.StringVar(&x.Kind, "kind", "pings", "the `kind` of harm, see above")
		f.IntVar(&x.Hostile, "hostile", 1, "`number` of hostile connections")
		f.IntVar(&x.Addresses, "hostile-addresses", 1, "`number` of addresses that they come from, 127.0.0.101 and up")
		f.IntVar(&x.Users, "hostile-users", 0, "`number` of users that they share (default: one for each connection)")
		f.BoolVar(&token, "hostile-token", true, "give them a token; some kinds need one")
		f.Float64Var(&x.Rate, "hostile-rate", 0,
			"`requests` a second of each, for toggle and resume (default: 45, just below the gateway's limit)")
		f.StringVar(&x.Room, "hostile-room", "",
			"the `room` of toggle and stalled (default: the first of --rooms), and of resume (default: orders:{user})")
		f.StringVar(&x.Junk, "junk-prefix", "", "`prefix` of invented room names (default trades:)")
		f.BoolVar(&x.Paired, "paired", false, "make each run twice: hostile clients at a sink, then at the gateway")
		f.DurationVar(&x.PingEvery, "ping-every", time.Second, "time between two pings of an ordinary client")
		f.Float64Var(&x.Newcomers, "newcomers", 5, "new `connections` a second meanwhile; below 0: none")
	})
	cmd.Long = strings.Replace(cmd.Long, "{kinds}", strings.TrimRight(hostile.KindsHelp(), "\n"), 1)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x.Anonymous = !token
		return run(cmd, args)
	}
	return cmd
}

func resumesCommand() *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: "market.trades"}}
	c := resumes.Config{}
	budget := int64(256)
	run := func(ctx context.Context, c resumes.Config) (*resumes.Result, error) {
		c.Budget = budget << 20
		return resumes.Measure(ctx, c)
	}
	cmd := measuring("resumes", &t, &c, &c.Target, &c.Log, run)
	f := cmd.Flags()
	f.StringSliceVar(&t.Brokers, "brokers", nil, "the Kafka that the gateway reads: `host:port`, …")
	f.StringVar(&t.Topic, "topic", t.Topic, "the `topic` that feeds the room")
	f.StringVar(&c.Room, "room", "trades", "the `room` in which they resume")
	f.Int64Var(&c.Records, "records", 600_000, "`number` of records up to which the topic is filled")
	f.IntVar(&c.Size, "size", 400, "`bytes` of a record's value")
	f.StringVar(&c.Fields, "fields", aSymbol, `further JSON `+"`members`"+` of a value, like '"s":"BTCUSDT"'`)
	f.IntVar(&c.Count, "count", 100, "`number` of clients that resume, each a user of its own")
	f.Float64Var(&c.Rate, "rate", 5, "`clients` that come per second")
	f.Int64Var(&c.Least, "least", 200, "fewest `records` that a client lacks")
	f.Int64Var(&c.Most, "most", 2000, "most `records` that a client lacks")
	f.DurationVar(&c.Until, "until", 30*time.Second,
		"longest `time` in which a client may get what it lacks")
	f.IntVar(&c.Greedy, "greedy", 10, "`number` of clients that ask for everything, each a user of its own")
	f.StringVar(&c.GreedyRoom, "greedy-room", "",
		"the `room` that greedy and stalled clients ask for; {user} is filled in (default: --room)")
	f.Float64Var(&c.GreedyRate, "greedy-rate", 0, "most `requests` a second of each (default: 45)")
	f.IntVar(&c.Stalled, "stalled", 2, "`number` of clients that ask for everything and do not read it")
	f.Int64Var(&budget, "budget", budget, "the gateway's limits.recall_bytes in `MiB`")
	f.BoolVar(&c.Warm, "warm", false, "do not wait half a minute until the gateway has dropped what it read again")
	f.IntVar(&c.Runs, "runs", 1, "`number` of runs; the medians are reported")
	return cmd
}
