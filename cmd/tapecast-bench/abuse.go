package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tapecast/bench"
	"tapecast/bench/hostile"
)

var abuseLong = `Ordinary clients share a room and send the method ping once a second. A few new ones connect
meanwhile. Hostile clients do one kind of harm during the window, in a process of their own.
One that is closed comes back after 100 ms.

With --paired each run is made twice. First the hostile process writes to a sink, which reads
and does nothing. Then it attacks the gateway. So both runs have what the hostile clients
take from the machine's cores. They and the sink run only when no other process wants their
core (SCHED_IDLE), as if they had machines of their own. The gateway must be at 127.0.0.1:
nothing else is attacked.

Kinds:
` + hostile.KindsHelp() + `
The demands on a gateway are printed as met or missed. Others' pings, messages and handshakes
take at most 50 ms (p99), or 3 times as long as beside the sink, whichever is more. Resident
memory grows by at most 16 MB. Every ping is answered. A limit is counted. The exit code is 3
if an ordinary client lost a message, got one twice, or was closed.`

func abuseCommand() *cobra.Command {
	x := &bench.AbuseConfig{}
	token := true
	cmd := fanoutLike(&cobra.Command{
		Use:   "abuse",
		Short: "Attack with hostile clients, and measure what ordinary clients notice",
		Long:  abuseLong,
		Example: `  # the gateway on the first core, everything else on the second, each three times beside a sink
  taskset -c 0 tapecast run --config bench/gateway.yaml
  taskset -c 1 tapecast-bench abuse --secret-file key --direct --kind pings --paired --runs 3

  # fifty connections from ten addresses, without tokens, over TLS
  taskset -c 1 tapecast-bench abuse --secret-file key --direct --target wss://127.0.0.1:8443/ws --ca cert.pem \
    --kind continuations --hostile 50 --hostile-addresses 10 --hostile-token=false --paired`,
	}, bench.FanoutConfig{
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
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x.Anonymous = !token
		return run(cmd, args)
	}
	return cmd
}
