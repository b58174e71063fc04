package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"tapecast/bench"
	"tapecast/bench/resumes"
)

const resumesLong = `Clients come back after a while. Each connects, asks to resume from a position that lies
--least to --most records back, and waits until it has every record from there on. Latency is
counted from when a client was due to come. Each run is made twice: alone, and beside --greedy
clients that ask for everything again and again, and --stalled clients that ask for
everything once and do not read it. These live in processes of their own, and the gateway
must be at 127.0.0.1.

The topic is first filled up to --records. It must feed --room with each of its records, and
nobody else may write to it meanwhile. The gateway must read the records again from Kafka. So
the measurement starts only when it no longer holds the last --least records in memory.

The demands on a gateway are printed as met or missed. All clients succeed. The p99 beside
greedy clients is at most 3 times the p99 alone. The bytes read again are at most 3 times what
the honest clients need, plus the budgets of the hostile users (--budget, the gateway's
limits.recall_bytes). The exit code is 3 if a client did not get what it lacked.`

func resumesCommand() *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: "market.trades"}}
	c := resumes.Config{}
	budget := int64(256)
	cmd := measuring(&cobra.Command{
		Use:   "resumes",
		Short: "Make clients resume from what only Kafka still has, alone and beside greedy ones",
		Long:  resumesLong,
		Example: `  # three runs; the gateway reads market.trades of that broker
  tapecast-bench resumes --secret-file key --brokers localhost:9092 --greedy 10 --stalled 2 --runs 3

  # the greedy ones ask for a room of their own, which has next to nothing of all that is read for it
  tapecast-bench resumes --secret-file key --brokers localhost:9092 --greedy 10 --greedy-room 'trades:{user}'`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*resumes.Result, error) {
		c.Budget = budget << 20
		return resumes.Measure(ctx, c)
	})
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
