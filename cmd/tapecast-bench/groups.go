package main

import (
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func keyedCommand() *cobra.Command {
	return fanoutLike(&cobra.Command{
		Use:   "keyed",
		Short: "Measure many rooms of a few clients each, every room at its own slow pace",
		Long: "Clients form groups. Each group has a room of its own, and each room gets its own messages. That is\n" +
			"the shape of published broker tests: 100 subscribers a topic, and one message a second to each topic.",
		Example: `  # 15,000 clients, 100 a room, each room a message of 512 bytes a second, from Kafka
  tapecast-bench keyed --secret-file key --brokers localhost:9092 --topic bench.rooms`,
	}, bench.FanoutConfig{
		Clients: 15_000, Size: 512, Pace: time.Millisecond, Duration: 30 * time.Second, Check: true,
	}, "bench.rooms", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addGroups(f, c, "keyed:{key}")
		f.IntVar(&c.Group, "group", 100, "`clients` in each room")
	})
}

func privateCommand() *cobra.Command {
	return fanoutLike(&cobra.Command{
		Use:     "private",
		Short:   "Measure messages to single users, a room each: the worst case for batching",
		Example: `  tapecast-bench private --secret-file key --direct --clients 10000 --per-room 0.5`,
	}, bench.FanoutConfig{Clients: 1000, Check: true, Group: 1}, "private.orders",
		func(f *pflag.FlagSet, c *bench.FanoutConfig) {
			addGroups(f, c, "orders:{user}")
		})
}

func addGroups(f *pflag.FlagSet, c *bench.FanoutConfig, room string) {
	f.StringSliceVar(&c.Rooms, "room", []string{room},
		"`pattern` of the rooms: {key} stands for the group's record key, {user} for the user")
	f.Float64Var(&c.PerRoom, "per-room", 1, "`messages` a second to each room")
}
