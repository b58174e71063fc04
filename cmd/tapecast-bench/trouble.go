package main

import (
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func stormCommand() *cobra.Command {
	storm := &bench.StormConfig{}
	return fanoutLike(&cobra.Command{
		Use:   "storm",
		Short: "Cut all connections at once, and measure how clients come back",
		Example: `  # once all at once, once spread over five seconds, each going on where it was
  tapecast-bench storm --secret-file key --direct --clients 10000 --rate 5 --jitter 0,5s --resume`,
	}, bench.FanoutConfig{
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
	return fanoutLike(&cobra.Command{
		Use:   "slow",
		Short: "Add clients that stop reading or read slowly, and measure the others",
		Example: `  tapecast-bench slow --secret-file key --direct --clients 8000 --stalled 1000 --slow 1000 \
      --slow-rate 2000 --rate 200`,
	}, bench.FanoutConfig{
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
	return fanoutLike(&cobra.Command{
		Use:   "churn",
		Short: "Make clients leave their rooms and join them again while messages flow",
		Example: `  tapecast-bench churn --secret-file key --direct --clients 5000 --share 0.2 --leaves 200 \
      --away 2s --resume`,
	}, bench.FanoutConfig{
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
	return fanoutLike(&cobra.Command{
		Use:   "soak",
		Short: "Run for hours, and watch memory, CPU and latency",
		Example: `  tapecast-bench soak --secret-file key --direct --clients 5000 --rate 50 --duration 8h \
      --every 1m --most-growth 1048576`,
	}, bench.FanoutConfig{
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
