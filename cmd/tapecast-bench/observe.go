package main

import (
	"context"
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
