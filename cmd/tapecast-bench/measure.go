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
func fanoutLike(name string, c bench.FanoutConfig, topic string,
	more func(*pflag.FlagSet, *bench.FanoutConfig)) *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: topic}}
	c.Scenario = name
	run := func(ctx context.Context, c bench.FanoutConfig) (res *bench.FanoutResult, err error) {
		if c.Template, err = templateOf(c.Template); err != nil {
			return nil, err
		}
		return bench.Fanout(ctx, c)
	}
	cmd := measuring(name, &t, &c, &c.Target, &c.Log, run)
	t.addPublishing(cmd)
	t.addSpeech(cmd)
	addLoad(cmd.Flags(), &c)
	if c.Replay == nil {
		addValues(cmd.Flags(), &c)
	}
	cmd.Flags().String("html", "", "also write the result as a page with charts to `file`")
	more(cmd.Flags(), &c)
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
	config := bench.FanoutConfig{Pace: time.Millisecond}
	return fanoutLike("fanout", config, "", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
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
	return fanoutLike("keyed", bench.FanoutConfig{
		Clients: 15_000, Size: 512, Pace: time.Millisecond, Duration: 30 * time.Second, Check: true,
	}, "bench.rooms", func(f *pflag.FlagSet, c *bench.FanoutConfig) {
		addGroups(f, c, "keyed:{key}")
		f.IntVar(&c.Group, "group", 100, "`clients` in each room")
	})
}

func privateCommand() *cobra.Command {
	return fanoutLike("private", bench.FanoutConfig{Clients: 1000, Check: true, Group: 1}, "private.orders",
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
	return fanoutLike("mixed", bench.FanoutConfig{
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
	return fanoutLike("replay", bench.FanoutConfig{
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
	cmd := measuring("handshake", &t, &c, &c.Target, &c.Log, bench.Handshake)
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
	cmd := measuring("passorder", &t, &c, &c.Target, &c.Log, bench.PassOrder)
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

func observeCommand() *cobra.Command {
	var t targetFlags
	c := bench.FanoutConfig{Pace: time.Millisecond}
	cmd := measuring("observe", &t, &c, &c.Target, &c.Log, bench.Observe)
	f := cmd.Flags()
	f.StringSliceVar(&c.Rooms, "rooms", []string{"prices"}, "`rooms` to join; wildcards are allowed")
	addClients(f, &c)
	f.BoolVar(&c.Deflate, "deflate", false, "offer permessage-deflate")
	addPace(f, &c)
	return cmd
}
