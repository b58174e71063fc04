package main

import (
	"time"

	"github.com/spf13/cobra"

	"tapecast/bench/resumes"
)

const resumesLong = `Clients come back after a while: each connects, asks to go on from a place that lies --least
to --most records back, and waits until it has every record from there on. Their latency is
counted from when they were due to come. Each run is made twice: alone, and beside --greedy
clients that ask for everything that there ever was, again and again, and --stalled ones that
ask for it once and do not read. These live in processes of their own, for a gateway at
127.0.0.1 only.

The topic is filled up to --records first, and must feed --room with each of its records, and
nobody else may write to it meanwhile. The places are chosen so that the gateway has to read
them again from Kafka: before anything is measured it is waited for until it no longer holds
the last --least records in memory.

What is asked of a gateway is printed as met or missed: all of them succeed; the p99 beside
greedy ones is at most 3 times that alone; the bytes read again are at most 3 times what the
honest ones need, and the hostile users' budgets (--budget, the gateway's limits.recall_bytes).
The exit code is 3 where a client did not get what it lacked.`

func resumesCommand() *cobra.Command {
	t := targetFlags{topic: "market.trades"}
	c := resumes.Config{}
	budget := int64(256)
	cmd := &cobra.Command{
		Use:   "resumes",
		Short: "Have clients resume from what only Kafka still has, alone and beside greedy ones",
		Long:  resumesLong,
		Example: `  # three runs; the gateway reads market.trades of that broker
  tapecast-bench resumes --secret-file key --brokers localhost:9092 --greedy 10 --stalled 2 --runs 3

  # the greedy ones ask for a room of their own, which has next to nothing of all that is read for it
  tapecast-bench resumes --secret-file key --brokers localhost:9092 --greedy 10 --greedy-room 'trades:{user}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Target, err = t.target(); err != nil {
				return err
			}
			c.Budget = budget << 20
			c.Log = t.log(cmd)
			res, err := resumes.Measure(cmd.Context(), c)
			if res == nil || len(res.Runs) == 0 {
				return err
			}
			return report(cmd, t.json, res, err)
		},
	}
	t.add(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&t.brokers, "brokers", nil, "the Kafka that the gateway reads: `host:port`, …")
	f.StringVar(&t.topic, "topic", t.topic, "the `topic` that feeds the room")
	f.StringVar(&c.Room, "room", "trades", "the `room` that they go on in")
	f.Int64Var(&c.Records, "records", 600_000, "the topic is filled up to so `many` records")
	f.IntVar(&c.Size, "size", 400, "`bytes` of a record's value")
	f.StringVar(&c.Fields, "fields", aSymbol, `further JSON `+"`members`"+` of a value, like '"s":"BTCUSDT"'`)
	f.IntVar(&c.Count, "count", 100, "`number` of clients that come back, each a user of its own")
	f.Float64Var(&c.Rate, "rate", 5, "so `many` of them a second")
	f.Int64Var(&c.Least, "least", 200, "they lack so `many` records at least")
	f.Int64Var(&c.Most, "most", 2000, "and so `many` at most")
	f.DurationVar(&c.Until, "until", 30*time.Second,
		"a client that has not got what it lacks in that `time` has failed")
	f.IntVar(&c.Greedy, "greedy", 10, "`number` of clients that ask for everything, each a user of its own")
	f.StringVar(&c.GreedyRoom, "greedy-room", "",
		"the `room` that these, and those that stall, ask for; {user} is filled in (default: --room)")
	f.Float64Var(&c.GreedyRate, "greedy-rate", 0, "`requests` a second of each at most (default: 45)")
	f.IntVar(&c.Stalled, "stalled", 2, "`number` of clients that ask for everything and do not read it")
	f.Int64Var(&budget, "budget", budget, "the gateway's limits.recall_bytes in `MiB`")
	f.BoolVar(&c.Warm, "warm", false, "do not wait, half a minute, until the gateway has forgotten what it read again")
	f.IntVar(&c.Runs, "runs", 1, "`number` of runs; the medians are reported")
	f.String("out", "", "write the result as JSON to `file` too")
	return cmd
}
