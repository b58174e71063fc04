package main

import (
	"cmp"
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tapecast/bench"
	"tapecast/bench/job"
)

// fanoutLike makes a subcommand that runs bench.Fanout. c holds its fixed settings and the
// defaults of its flags. more adds further flags. topic is the default of --topic.
func fanoutLike(cmd *cobra.Command, c bench.FanoutConfig, topic string,
	more func(*pflag.FlagSet, *bench.FanoutConfig)) *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: topic}}
	c.Scenario = cmd.Name()
	measuring(cmd, &t, &c.Target, &c.Log, func(ctx context.Context) (res *bench.FanoutResult, err error) {
		if c.Template, err = templateOf(c.Template); err != nil {
			return nil, err
		}
		return bench.Fanout(ctx, c)
	})
	t.addPublishing(cmd)
	t.addSpeech(cmd)
	addLoad(cmd.Flags(), &c)
	if c.Replay == nil {
		addValues(cmd.Flags(), &c)
	}
	cmd.Flags().String("html", "", "also write the result as a page with charts to `file`")
	if more != nil {
		more(cmd.Flags(), &c)
	}
	return cmd
}

// templateOf returns the text of --value-template, or what the file holds that it names.
func templateOf(text string) (string, error) {
	file, ok := strings.CutPrefix(text, "@")
	if !ok {
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", job.Inputf("--value-template: %v", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// addClients adds the flags of all scenarios whose clients get messages.
func addClients(f *pflag.FlagSet, c *bench.FanoutConfig) {
	f.IntVar(&c.Clients, "clients", cmp.Or(c.Clients, 1000), "`number` of clients, each a user of its own")
	f.IntVar(&c.Procs, "procs", 1, "client `processes`; one holds as many clients as it may have descriptors")
	f.DurationVar(&c.Duration, "duration", cmp.Or(c.Duration, 10*time.Second), "length of the measured window")
	f.DurationVar(&c.Warmup, "warmup", 2*time.Second, "time before it")
	f.IntVar(&c.InFlight, "in-flight", 64, "handshakes at a time in each client process")
	f.IntVar(&c.RcvBuf, "rcvbuf", 0, "receive buffer of each client in `bytes` (default: the kernel's choice)")
}

// addLoad adds the flags of all scenarios that publish.
func addLoad(f *pflag.FlagSet, c *bench.FanoutConfig) {
	addClients(f, c)
	f.BoolVar(&c.Check, "check", c.Check, "check every byte of every value, the rooms, and the prev chain")
	f.DurationVar(&c.Drain, "drain", 30*time.Second, "longest wait for stragglers")
	f.BoolVar(&c.GC, "gc", false,
		"make the gateway collect garbage before its heap is read (needs its admin.pprof)")
	f.IntVar(&c.Runs, "runs", 1, "`number` of runs; the medians are reported")
}

// addValues adds the flags of scenarios that make their own messages.
func addValues(f *pflag.FlagSet, c *bench.FanoutConfig) {
	f.IntVar(&c.Size, "size", cmp.Or(c.Size, 128), "`bytes` of a message's value")
	f.StringVar(&c.Fields, "fields", c.Fields, `further JSON `+"`members`"+` of a value, like '"s":"BTCUSDT"'`)
	f.StringVar(&c.Template, "value-template", "",
		"an `envelope` that each record has around its value, or @FILE with one, like\n"+
			`'{"type":"trade","id":{{seq}},"account":"{{key}}","data":{{value}}}'`)
	addPace(f, c)
}

func addPace(f *pflag.FlagSet, c *bench.FanoutConfig) {
	f.DurationVar(&c.Pace, "pace", c.Pace,
		"least time between two polls of a client process; 0 wakes it for each event")
}

func fanoutCommand() *cobra.Command {
	return fanoutLike(&cobra.Command{
		Use:   "fanout",
		Short: "Measure messages to many clients: rate, loss, order, latency, CPU per message",
		Example: `  # 400 bare messages a second to 10,000 clients, past Kafka, three runs
  tapecast-bench fanout --secret-file key --direct --bare --clients 10000 --rate 400 --duration 20s --runs 3

  # against a bare send loop over as many sockets, alternately
  tapecast-bench fanout --secret-file key --direct --bare --clients 10000 --rate 5 --duration 20s --runs 3 --baseline

  # through Kafka
  tapecast-bench fanout --secret-file key --brokers localhost:9092 --topic market.ticker --rate 100 --clients 1000`,
	}, bench.FanoutConfig{Pace: time.Millisecond}, "", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addRooms(f, c)
		f.BoolVar(&c.Bare, "bare", false, "expect bare values, as of a room with envelope: none")
		f.BoolVar(&c.Deflate, "deflate", false, "offer permessage-deflate (the room's class must compress)")
		f.IntVar(&c.Keys, "keys", 1, "`number` of record keys, in turn (Kafka)")
		addOrders(f, c)
		f.IntVar(&c.Filtered, "filtered", 0, "`number` of further clients that want only a few of the keys (Kafka)")
		f.IntVar(&c.FilterKeys, "filter-keys", 5, "`number` of those keys")
		addStalled(f, c)
		f.BoolVar(&c.Baseline, "baseline", false,
			"make each run twice: against the gateway, then against a bare send loop")
		f.IntVar(&c.RawBatch, "baseline-batch", 1, "`messages` that the send loop puts into one system call")
		f.BoolVar(&c.Pin, "pin", false,
			"pin clients to the last processor, and the send loop to the first (start the gateway there too: taskset "+
				"-c 0)")
	})
}

// addRooms adds the flags of scenarios whose clients share rooms.
func addRooms(f *pflag.FlagSet, c *bench.FanoutConfig) {
	rooms := c.Rooms
	if rooms == nil {
		rooms = []string{"prices"}
	}
	f.StringSliceVar(&c.Rooms, "rooms", rooms, "`rooms` to join and to publish to, in turn")
	f.BoolVar(&c.AutoJoin, "auto-join", c.AutoJoin, "also join the rooms that the gateway joins by itself")
	f.Float64Var(&c.Rate, "rate", cmp.Or(c.Rate, 100), "`messages` a second")
}

func addOrders(f *pflag.FlagSet, c *bench.FanoutConfig) {
	f.Float64Var(&c.OrdersRate, "orders", 0, "`messages` a second to single users meanwhile (default: none)")
	f.IntVar(&c.OrdersClients, "orders-clients", 50, "`number` of those users")
	f.StringVar(&c.OrdersTopic, "orders-topic", "", "the `topic` of those messages, keyed by the user (Kafka)")
	f.StringVar(&c.OrdersRoom, "orders-room", "orders:{user}", "the `room` of those messages")
}

func addStalled(f *pflag.FlagSet, c *bench.FanoutConfig) {
	f.IntVar(&c.Stalled, "stalled", c.Stalled, "`number` of further clients that stop reading")
	f.IntVar(&c.Slow, "slow", c.Slow, "`number` of further clients that read slowly for the same time")
	f.IntVar(&c.SlowRate, "slow-rate", 4096, "`bytes` a second that each of them reads")
	f.DurationVar(&c.StallFor, "stall-for", 0, "how long they do so (default: the window and a second more)")
	f.BoolVar(&c.Paired, "paired", c.Paired,
		"make each run twice: without the stalled and slow clients, then with them")
}

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

func handshakeCommand() *cobra.Command {
	var t targetFlags
	var c bench.HandshakeConfig
	cmd := measuring(&cobra.Command{
		Use:   "handshake",
		Short: "Measure handshakes with new tokens: latency and CPU",
		Example: `  tapecast-bench handshake --secret-file key --count 10000
  tapecast-bench handshake --ed25519-key private.pem --count 10000`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.HandshakeResult, error) {
		return bench.Handshake(ctx, c)
	})
	f := cmd.Flags()
	f.IntVar(&c.Count, "count", 5000, "`number` of handshakes")
	f.IntVar(&c.Batch, "batch", 5000, "`number` of connections that are open at a time")
	f.Float64Var(&c.Rate, "rate", 0, "`handshakes` a second (default: one after another)")
	f.DurationVar(&c.Settle, "settle", 2*time.Second, "how long to leave the gateway alone, to see its use at rest")
	return cmd
}

func passorderCommand() *cobra.Command {
	var t targetFlags
	var c bench.PassOrderConfig
	cmd := measuring(&cobra.Command{
		Use:     "passorder",
		Short:   "Test whether chance decides which member gets a message first and last",
		Example: `  tapecast-bench passorder --secret-file key --direct --clients 200 --messages 1000 --rate 20`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.PassOrderResult, error) {
		return bench.PassOrder(ctx, c)
	})
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.IntVar(&c.Clients, "clients", 200, "`number` of members")
	f.StringVar(&c.Room, "room", "prices", "the `room` of the members")
	f.Float64Var(&c.Rate, "rate", 20, "`messages` a second; low, so that no two overlap")
	f.Int64Var(&c.Messages, "messages", 1000, "`number` of messages")
	f.IntVar(&c.Size, "size", 128, "`bytes` of a message's value")
	f.BoolVar(&c.Bare, "bare", false, "expect bare values, as of a room with envelope: none")
	return cmd
}

const observeLong = `Clients join rooms and read, and nothing is published. So this measures a gateway with the
traffic that it has. Freshness is from a message's ts, the time of its record in Kafka,
until a client has read it. So the clocks of the producers and of this machine must agree.
Where the gateway promises every message of a room, prev is followed. A break without a gap
notice before it is a fault, and the exit code is 3.`

func observeCommand() *cobra.Command {
	var t targetFlags
	c := bench.FanoutConfig{Pace: time.Millisecond}
	cmd := measuring(&cobra.Command{
		Use:   "observe",
		Short: "Measure a gateway with the traffic that it has, and publish nothing",
		Long:  observeLong,
		Example: `  # the demo of make run
  tapecast-bench observe --rooms prices,trades --clients 5000

  # every room of a kind, and each client's own orders
  tapecast-bench observe --secret-file key --rooms 'trades:*,orders:{user}' --clients 1000 --duration 60s`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.ObserveResult, error) {
		return bench.Observe(ctx, c)
	})
	f := cmd.Flags()
	f.StringSliceVar(&c.Rooms, "rooms", []string{"prices"}, "`rooms` to join; wildcards are allowed")
	addClients(f, &c)
	f.BoolVar(&c.Deflate, "deflate", false, "offer permessage-deflate")
	addPace(f, &c)
	return cmd
}
