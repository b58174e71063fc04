package main

import (
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

const observeLong = `Clients join rooms and read, and nothing is published. So this measures a gateway with the
traffic that it has. Freshness is from a message's ts, the time of its record in Kafka,
until a client has read it. So the clocks of the producers and of this machine must agree.
Where the gateway promises every message of a room, prev is followed. A break without a gap
notice before it is a fault, and the exit code is 3.`

func observeCommand() *cobra.Command {
	var t targetFlags
	var c bench.ObserveConfig
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "Measure a gateway with the traffic that it has, and publish nothing",
		Long:  observeLong,
		Example: `  # the demo of make run
  tapecast-bench observe --rooms prices,trades --clients 5000

  # every room of a kind, and each client's own orders
  tapecast-bench observe --secret-file key --rooms 'trades:*,orders:{user}' --clients 1000 --duration 60s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Target, err = t.target(); err != nil {
				return err
			}
			c.Log = t.log(cmd)
			res, err := bench.Observe(cmd.Context(), c)
			if res == nil {
				return err
			}
			return report(cmd, t.json, res, err)
		},
	}
	t.add(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&c.Rooms, "rooms", []string{"prices"}, "`rooms` to join; wildcards are allowed")
	f.IntVar(&c.Clients, "clients", 1000, "`number` of clients, each a user of its own")
	f.IntVar(&c.Procs, "procs", 1, "client `processes`; one holds as many clients as it may have descriptors")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "length of the measured window")
	f.DurationVar(&c.Warmup, "warmup", 2*time.Second, "time before it")
	f.BoolVar(&c.Deflate, "deflate", false, "offer permessage-deflate")
	f.DurationVar(&c.Pace, "pace", time.Millisecond,
		"least time between two polls of a client process; 0 wakes it for each event")
	f.IntVar(&c.InFlight, "in-flight", 64, "handshakes at a time in each client process")
	f.IntVar(&c.RcvBuf, "rcvbuf", 0, "receive buffer of each client in `bytes` (default: the kernel's choice)")
	f.String("out", "", "also write the result as JSON to `file`")
	return cmd
}
