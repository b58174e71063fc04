package main

import (
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func mixedCommand() *cobra.Command {
	feeds := []bench.Feed{
		{Name: "symbols", Topic: "bench.rooms", Room: "keyed:{key}"},
		{Name: "own orders", Topic: "private.orders", Room: "orders:{user}", Joined: true},
	}
	return fanoutLike(&cobra.Command{
		Use:   "mixed",
		Short: "Measure a trading day: shared rooms, symbols by popularity, orders to single users",
		Long: "Every client joins the rooms that the gateway joins by itself and a few symbols, chosen by their\n" +
			"popularity, and gets orders of its own. Symbol s has messages and members in proportion to 1/(s+1)^zipf.",
		Example: `  tapecast-bench mixed --secret-file key --direct --clients 5000 --rate 5 --symbols 200 \
      --each 8 --symbol-rate 500 --order-rate 200`,
	}, bench.FanoutConfig{
		Rooms: []string{"trades"}, Fields: aSymbol, Rate: 5, Duration: 20 * time.Second, Check: true,
		Pace: time.Millisecond, AutoJoin: true, Feeds: feeds,
	}, "market.trades", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		s, o := &feeds[0], &feeds[1]
		f.IntVar(&s.Streams, "symbols", 100, "`number` of symbols, each with a room")
		f.IntVar(&s.Each, "each", 5, "`number` of them that each client joins")
		f.Float64Var(&s.Zipf, "zipf", 1, "exponent of their popularity; 0 makes all alike")
		f.Float64Var(&s.Rate, "symbol-rate", 200, "`messages` a second to all symbols together")
		f.StringVar(&s.Room, "symbol-room", s.Room, "`pattern` of their rooms")
		f.StringVar(&s.Topic, "symbol-topic", s.Topic, "their `topic`, keyed by the symbol (Kafka)")
		f.Float64Var(&o.Rate, "order-rate", 100, "`messages` a second to single users, all together")
		f.StringVar(&o.Topic, "order-topic", o.Topic, "their `topic`, keyed by the user (Kafka)")
	})
}
