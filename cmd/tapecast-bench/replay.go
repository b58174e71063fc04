package main

import (
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func replayCommand() *cobra.Command {
	replay := &bench.ReplayConfig{}
	return fanoutLike(&cobra.Command{
		Use:   "replay",
		Short: "Publish a recording at its own pace or a multiple of it: real sizes, keys and bursts",
		Long: "replay publishes a recording, each record when it is due: at its recorded time since the first " +
			"record,\n" +
			"divided by --pace. The file holds one record a line, plain or gzipped, with tabs between its time " +
			"(ns),\n" +
			"its key and its value, a JSON object; or time, kind, key and value.\n\n" +
			"A value keeps its bytes and gets three members at its end, 54 bytes: \"@\", when it was due (ns since\n" +
			"1970), \"#\", its number, and \"%\", a checksum. So the room's route must send the whole value, " +
			"without\n" +
			"`payload`.",
		Example: `  # ten times as fast as it was recorded, over and over
  tapecast-bench replay --secret-file key --brokers localhost:9092 --file trades.tsv.gz --pace 10 --loop \
      --clients 5000 --duration 1m

  # a room for each key, the keys' own order kept, at 500 messages a second
  tapecast-bench replay --secret-file key --direct --file trades.tsv.gz --rate 500 --room keyed:{key}`,
	}, bench.FanoutConfig{
		Check: true, Pace: time.Millisecond, Replay: replay,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		f.StringVar(&replay.File, "file", "", "the `recording`")
		f.Float64Var(&replay.Pace, "pace", 1, "speed in `times` of the recording's")
		f.Float64Var(&c.Rate, "rate", 0, "`messages` a second, in place of the recorded times")
		f.BoolVar(&replay.Loop, "loop", false, "start the recording again if it ends before the run")
		f.StringSliceVar(&c.Rooms, "room", []string{"trades"},
			"the `room` that all join; with {key}, one for each recorded key")
		addOrders(f, c)
	})
}
